"""The examples of the manual run, in a clone with a finished pipeline on a tiny model, and print what the page shows.

CONTRIBUTING.md says how examples are written.
"""

import doctest
import os
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.builders.clone import Clone
from tests.builders.manual import MANUAL, ROOT, Block, code_blocks

WIDTH = "92"
"""Columns that fit a page of the site."""
SHELLS = {"", "bash", "sh", "shell", "zsh"}
BLOCKS = {page: code_blocks(page) for page in MANUAL}


def runs(block: Block) -> bool:
    return block.language in ("console", "pycon") and block.remark("not run:") is None


RUNNING = [page for page, blocks in BLOCKS.items() if any(map(runs, blocks))]


@dataclass
class Command:
    """A line of shell with the output that the page shows; none shown: whatever it prints."""

    line: str
    output: str


def commands(block: Block) -> list[Command]:
    """Read a block of a console: `$ ` begins a command, `> ` continues it, the other lines are its output."""
    found: list[Command] = []
    for line in block.code.splitlines():
        if line.startswith("$ "):
            found.append(Command(line[2:], ""))
        elif line.startswith("> ") and found and not found[-1].output:
            found[-1].line += f"\n{line[2:]}"
        else:
            assert found, f"{block.place}: output before the first command"
            found[-1].output += f"{line.rstrip()}\n"
    return found


@pytest.mark.parametrize("page", MANUAL, ids=lambda page: page.name)
def test_every_command_that_is_shown_can_run(page: Path) -> None:
    """A command in a block of another kind would never be tried."""
    for block in BLOCKS[page]:
        assert block.language not in SHELLS, f"{block.place}: name the language; commands belong in `console` blocks"
        if block.language == "console":
            assert commands(block), f"{block.place}: no line begins with `$ `"
        elif block.language != "pycon":
            assert not re.search(r"^(\$|>>>) ", block.code, re.MULTILINE), f"{block.place}: use `console` or `pycon`"
        assert block.remark("not run:") != "", f"{block.place}: say why it is not run"


@pytest.mark.pipeline
@pytest.mark.parametrize("page", RUNNING, ids=lambda page: page.name)
def test_examples_print_what_the_page_shows(page: Path, clone: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(clone.root)
    for name in os.environ.keys() - clone.environment.keys():
        monkeypatch.delenv(name)
    for name, value in clone.environment.items():
        monkeypatch.setenv(name, value)
    names: dict[str, object] = {"__name__": "__main__"}
    for block in filter(runs, BLOCKS[page]):
        if block.language == "pycon":
            run_session(block, names)
        else:
            run_console(block, clone)


def run_session(block: Block, names: dict[str, object]) -> None:
    test = doctest.DocTestParser().get_doctest(block.code, names, block.place, str(block.page), block.line - 1)
    said: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    runner.run(test, out=said.append, clear_globs=False)
    names |= test.globs
    assert not runner.failures, "".join(said)


def run_console(block: Block, clone: Clone) -> None:
    """Run the commands one after another; folder and exported variables last to the end of the page."""
    shell = clone.home / f"{clone.root.parent.name}.sh"
    asked = commands(block)
    for command in asked:
        script = f"""exec 2>&1
export COLUMNS={WIDTH} NO_COLOR=1 TERM=dumb
[ -f {shlex.quote(str(shell))} ] && source {shlex.quote(str(shell))}
{command.line}
code=$?
{{ export -p; printf 'cd %q\\n' "$PWD"; }} > {shlex.quote(str(shell))}
exit $code"""
        done = clone.run("bash", "-c", script, check=False)
        told = f"{block.place}: $ {command.line}\n{done.stdout}"
        fails = block.remark("fails:") is not None and command is asked[-1]
        assert (done.returncode != 0) == fails, f"{told}(exit code {done.returncode})"
        if command.output:
            shown, printed = command.output, done.stdout
            if block.remark("numbers vary") is not None:
                shown, printed = without_numbers(shown), without_numbers(printed)
            assert agrees(shown, printed), f"{told}--- but the page shows ---\n{command.output}"


def agrees(shown: str, printed: str) -> bool:
    """Compare as doctest does with ELLIPSIS; white space at the ends of lines does not count."""
    pattern = ".*".join(map(re.escape, trimmed(shown).split("...")))
    return re.fullmatch(pattern, trimmed(printed), re.DOTALL) is not None


def trimmed(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.strip("\n").splitlines())


def without_numbers(text: str) -> str:
    """Replace every number by #, and runs of blanks and rules by one: columns are as wide as their numbers."""
    text = re.sub(r"[-+]?\d+(?:[.,]\d+)*(?:e[-+]?\d+)?", "#", text)
    return re.sub(r"([ ─━═])\1+", r"\1", text)


def test_comparing() -> None:
    assert agrees("a\n...\nz\n", "a\nb\nc  \nz\n")
    assert not agrees("a\n", "a\nb\n")
    assert agrees(without_numbers("│ loss    │ 7.215 -> +0.1 │"), without_numbers("│ loss │ 11 -> -2,000.5 │"))
    assert not agrees(without_numbers("n = 3"), without_numbers("n = none"))


def test_reading_a_console() -> None:
    block = Block(ROOT / "README.md", 1, "console", "$ cat <<'E'\n> a\n> E\na\n\n$ true\n", ())
    assert commands(block) == [Command("cat <<'E'\na\nE", "a\n\n"), Command("true", "")]
