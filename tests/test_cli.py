"""The command line: help, exit codes, one-sentence errors."""

import errno
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from reprotune.cli import REPROTUNE, Command, Group, load_command
from tests.builders.command_line import reprotune

ROOT = Path(__file__).resolve().parent.parent
SHIPPED = (ROOT / "params.yaml").read_text(encoding="utf-8")


def all_commands(group: Group = REPROTUNE, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Command]]:
    """Yield every command of a group and of the groups in it, with the words that call it."""
    for name, command in group.commands.items():
        if isinstance(command, Group):
            yield from all_commands(command, (*path, name))
        else:
            yield (*path, name), command


COMMANDS = dict(all_commands())


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "params.yaml").write_text(SHIPPED, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_is_there_and_listed_in_its_own_words(words: tuple[str, ...]) -> None:
    command = COMMANDS[words]
    assert load_command(words[-1], command).help.splitlines()[0] == command.help
    shown = reprotune(*words, "--help")
    assert shown.exit_code == 0
    assert shown.stdout.startswith(f"Usage: reprotune {' '.join(words)} ")
    assert command.help in " ".join(shown.stdout.split())


def test_help_lists_every_command_under_a_heading_and_fits_a_terminal() -> None:
    shown = reprotune("--help")
    assert (shown.exit_code, shown.stderr) == (0, "")
    lines = shown.stdout.splitlines()
    for heading, commands in REPROTUNE.sections.items():
        start = lines.index(f"{heading}:") + 1
        assert [line.split()[0] for line in lines[start : start + len(commands)]] == list(commands)
    assert max(map(len, lines)) <= 80
    assert "  apply   Set a preset's keys in params.yaml." in reprotune("preset", "--help").stdout.splitlines()


@pytest.mark.parametrize("call", [["--help"], ["preset", "--help"], ["nope"]])
def test_help_loads_nothing_but_the_table_of_commands(call: list[str]) -> None:
    script = (
        "import sys\nfrom reprotune.cli import app\n"
        f"try: app({call!r})\nexcept SystemExit: pass\n"
        "own = {name for name in sys.modules if name.startswith('reprotune.')}\n"
        "print(sorted(own), [name for name in ('typer', 'rich', 'numpy', 'pyarrow') if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines()[-1] == "['reprotune.cli', 'reprotune.errors', 'reprotune.interrupts'] []"


def test_the_help_of_a_command_loads_none_of_its_work() -> None:
    heavy = ("torch", "pandas", "pyarrow", "numpy", "requests", "pydantic", "rich")
    script = (
        "import sys\nfrom reprotune.cli import app\n"
        f"for words in {list(COMMANDS)!r}:\n"
        "    try: app([*words, '--help'])\n"
        "    except SystemExit: pass\n"
        f"print([name for name in {heavy!r} if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], None),
        (["preset"], None),
        (["gat"], "Error: No such command 'gat'. Did you mean 'gate'?"),
        (["preset", "nope"], "Error: No such command 'nope'."),
        (["--nope"], "Error: No such option: --nope"),
        (["plan", "--nope"], "Error: No such option: --nope"),
    ],
)
def test_a_call_that_is_not_understood_exits_with_2(words: list[str], sentence: str | None) -> None:
    outcome = reprotune(*words)
    assert (outcome.exit_code, outcome.stdout) == (2, "")
    assert outcome.stderr.startswith("Usage: reprotune ")
    assert sentence is None or outcome.stderr.splitlines()[-1].startswith(sentence)


def test_preset_list_show_apply(folder: Path) -> None:
    assert reprotune("preset", "list").stdout.startswith("embedded ")
    assert "method: lora" in reprotune("preset", "show", "lora").stdout
    applied = reprotune("preset", "apply", "lora")
    assert applied.stdout == "finetune.method: full -> lora\nparams.yaml: preset lora applied; next: dvc repro\n"
    assert "  method: lora\n" in (folder / "params.yaml").read_text(encoding="utf-8")
    assert reprotune("preset", "apply", "lora").stdout == "params.yaml: already as preset lora sets it\n"
    own = (folder / "params.yaml").read_text(encoding="utf-8").replace("source: embedded", "source: mine.json", 1)
    (folder / "params.yaml").write_text(own, encoding="utf-8")
    assert reprotune("preset", "apply", "embedded", "--reset").stdout.splitlines()[-1] == (
        "params.yaml: preset embedded applied; next: reprotune deps --fix, because a stage reads other files than "
        "before, then dvc repro"
    )


def test_errors_are_one_sentence_and_exit_code_1(folder: Path) -> None:
    for words, sentence in ((("preset", "apply", "nope"), "no preset 'nope'"), (("deps",), "dvc.yaml is missing")):
        outcome = reprotune(*words)
        assert outcome.exit_code == 1
        assert outcome.stderr.startswith("error: ")
        assert sentence in outcome.stderr
        assert outcome.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (PermissionError(errno.EACCES, "denied", "data/raw"), "data/raw cannot be read or written, permission denied"),
        (MemoryError(), "the memory of this machine is full"),
        (KeyError("x"), "unexpected KeyError ('x'); this is a bug in Reprotune: please report it with the file"),
    ],
)
def test_no_command_ends_in_a_traceback(
    folder: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, sentence: str
) -> None:
    def raising(_: Path) -> None:
        raise error

    monkeypatch.setattr("reprotune.pipeline.plan.make_plan", raising)
    outcome = reprotune("plan")
    assert (outcome.exit_code, outcome.stdout) == (1, "")
    assert outcome.stderr.startswith(f"error: {sentence}")
    assert outcome.stderr.count("\n") == 1


def test_deps_checks_and_fixes(folder: Path) -> None:
    (folder / "stages").mkdir()
    (folder / "stages/split.py").write_text("x = 1\n")
    (folder / "dvc.yaml").write_text(
        "stages:\n  split:\n    cmd: python -m stages.split\n    deps:\n      - data/raw\n"
    )
    checked = reprotune("deps", "--check")
    assert (checked.exit_code, checked.stdout) == (1, "split: missing dep stages/split.py\n")
    assert "reprotune deps --fix" in checked.stderr
    assert reprotune("deps", "--fix").exit_code == 0
    assert reprotune("deps").exit_code == 0
    assert "      - stages/split.py\n      - data/raw\n" in (folder / "dvc.yaml").read_text()


def test_params_and_summary_print(folder: Path) -> None:
    assert reprotune("params", "--markdown").stdout.startswith("| key | default | values | meaning |\n")
    assert "finetune.epochs" in reprotune("params").stdout
    outside = reprotune("summary")
    assert (outside.exit_code, outside.stdout) == (1, "")
    assert outside.stderr.startswith("error: there is no dvc.yaml here")
    (folder / "dvc.yaml").write_text("stages: {}\n")
    assert "not measured yet" in reprotune("summary").stdout


def test_another_checkout_is_not_served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its stages run its own code, so the command would speak of other code than theirs."""
    (tmp_path / "src/reprotune").mkdir(parents=True)
    (tmp_path / "src/reprotune/cli.py").touch()
    monkeypatch.chdir(tmp_path)
    done = reprotune("plan")
    assert done.exit_code == 1
    assert "not of this checkout: run `pip install -e .` here" in done.stderr


def in_process(words: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Call `reprotune` from a shell, as a person does."""
    command = f"{shlex.quote(sys.executable)} -m reprotune.cli {words}"
    paths = os.pathsep.join((str(ROOT / "src"), str(ROOT)))
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": paths, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_an_encoding_of_few_characters_ends_no_command(folder: Path) -> None:
    (folder / "dvc.yaml").write_text("stages: {}\n")
    plain = {"LC_ALL": "C", "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    shown = in_process("summary", folder, **plain)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert shown.stdout.isascii() and " - " in shown.stdout and "?" not in shown.stdout
    (folder / "dvc.yaml").write_text("stages: {\u6f22: 5}\n", encoding="utf-8")
    refused = in_process("plan", folder, **plain)
    assert refused.returncode == 1 and "stage \\u{6f22} should be a mapping" in refused.stderr


@pytest.mark.parametrize("words", ["--help", "params", "preset list", "summary"])
def test_a_reader_that_has_heard_enough_gets_no_traceback(folder: Path, words: str) -> None:
    (folder / "dvc.yaml").write_text("stages: {}\n")
    shown = in_process(f"{words} | head -1", folder)
    assert shown.stderr == "" and shown.stdout.count("\n") == 1
    assert in_process(f"{words} | true", folder).stderr == ""
