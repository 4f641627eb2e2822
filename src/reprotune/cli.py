"""The command `reprotune`: the table of all commands, and how one of them is found and run.

Each command is a function in the module `command` of its subject, with its arguments declared for Typer. That module,
and Typer with it, is imported only when the command is called, so that `reprotune --help` answers at once.
"""

import codecs
import io
import os
import sys
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple, Never

from reprotune.errors import UserError
from reprotune.interrupts import interruptible

PLAIN = {"–": "-", "−": "-", "→": "->", "…": "...", "⟨": "<", "⟩": ">", "·": "|", "\u00a0": " "}
"""How the characters of our own texts are printed where the encoding lacks them."""


class Command(NamedTuple):
    """Where a command is defined, and what it does."""

    module: str
    """Relative to this package; its `app` holds the command under the name that it has here."""
    help: str
    """The first line of the command's docstring."""


class Group(NamedTuple):
    """Commands that share a name."""

    help: str
    sections: dict[str, dict[str, "Command | Group"]]
    """Heading -> name -> command, as they are listed."""

    @property
    def commands(self) -> dict[str, "Command | Group"]:
        """The commands of all sections by name."""
        return {name: command for section in self.sections.values() for name, command in section.items()}


PRESET = Group(
    "List, show or apply ready-made params.",
    {
        "Commands": {
            "list": Command("params.command", "List the presets, one per line."),
            "show": Command("params.command", "Print the keys that `apply` sets."),
            "apply": Command("params.command", "Set a preset's keys in params.yaml."),
        }
    },
)
SWEEP = Group(
    "Search better params by many trials.",
    {
        "Commands": {
            "prepare": Command("sweep.command", "Check a sweep and put it into sweep/dvc.yaml."),
            "show": Command("sweep.command", "Show what a sweep has found."),
            "apply": Command("sweep.command", "Set the params of a sweep's winner in params.yaml."),
        }
    },
)
REPROTUNE = Group(
    "Reproducible instruction fine-tuning. The pipeline itself runs with\n"
    "`dvc repro`; these commands prepare it and show its results. Run them from the\n"
    "folder that holds params.yaml.",
    {
        "Run the pipeline": {
            "params": Command("params.command", "Explain every key of params.yaml."),
            "preset": PRESET,
            "check": Command("preflight.command", "Check params.yaml and everything that it names."),
            "plan": Command("pipeline.command", "Show which stages `dvc repro` will run, and why."),
            "deps": Command("pipeline.command", "Check the deps in dvc.yaml against the code."),
            "summary": Command("results.command", "Show scores, validation loss and time per stage."),
            "repeat": Command("runs.command", "Train, generate and judge with several seeds."),
        },
        "Search params": {"sweep": SWEEP},
        "Review a change": {
            "compare": Command("compare.command", "Compare the results of two revisions."),
            "gate": Command("compare.command", "Check the workspace's results against gate.yaml."),
        },
        "Evaluate answers": {
            "pairwise": Command("judging.command", "Compare two models' answers pair by pair."),
            "opponent": Command("compare.command", "Write a revision's answers to a file."),
            "export-alpaca-eval": Command("judging.command", "Write both models' answers for the package alpaca-eval."),
            "calibrate": Command("judging.command", "Compare scores with labels."),
            "ballot": Command("preference.command", "Make a page on which people vote between answers."),
            "votes": Command("preference.command", "Show how the votes stand, or file new ones."),
        },
        "Use the model": {
            "ask": Command("chat.command", "Ask a model a question."),
            "chat": Command("chat.command", "Talk to models side by side, in a browser."),
            "serve": Command("chat.command", "Serve models to OpenAI's clients."),
        },
    },
)


def app(words: Sequence[str] | None = None) -> None:
    """Run a command as `_run` does; exit with 1, and quietly, where whoever reads has heard enough (`| head`)."""
    try:
        try:
            _run(words)
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains when it ends
        sys.exit(1)


def _run(words: Sequence[str] | None) -> None:
    """Run the command that `words` (by default the arguments of this process) call, and exit.

    The exit code is 1 after a `UserError` or any other exception, whose sentence goes to standard error (see
    `faults.told`), and 2 if the call is not understood.
    """
    _make_printable()
    words = sys.argv[1:] if words is None else words
    own, here = Path(__file__).resolve().parent, Path("src/reprotune").resolve()
    if (here / "cli.py").is_file() and own != here:
        _exit(1, f"error: this is the reprotune of {own.parents[1]}, not of this checkout: run `pip install -e .` here")
    path, name = "reprotune", ""
    command: Command | Group = REPROTUNE
    while isinstance(command, Group):
        if not words:
            _exit(2, "\n".join(_help(path, command)))
        name, *words = words
        if name == "--help":
            print("\n".join(_help(path, command)))
            sys.exit()
        if name not in command.commands:
            _exit(2, _not_understood(path, name, command))
        path, command = f"{path} {name}", command.commands[name]
    try:
        with interruptible():
            load_command(name, command).main(words, prog_name=path)
    except UserError as error:
        from reprotune.faults import advised  # noqa: PLC0415 - few commands end like this

        _exit(1, f"error: {advised(error, path)}")
    except KeyboardInterrupt:
        _exit(130, "interrupted")
    except Exception as error:
        from reprotune.faults import told  # noqa: PLC0415 - few commands end like this

        _exit(1, f"error: {told(error, path)}")


def _make_printable() -> None:
    """Let every text be printed where the locale has few characters, as in many containers: others are spelled out."""
    codecs.register_error("reprotune", _spelled)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="reprotune")


def _spelled(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    characters = error.object[error.start : error.end]
    return "".join(PLAIN.get(one, f"\\u{{{ord(one):x}}}") for one in characters), error.end


def load_command(name: str, command: Command) -> Any:
    """Import the module of a command, and return what Typer makes of it."""
    from typer.main import get_group  # noqa: PLC0415 - takes 0.1 s, which the list of commands does without

    return get_group(import_module(f"reprotune.{command.module}").app).commands[name]


def _help(path: str, group: Group) -> Iterator[str]:
    yield f"Usage: {path} [OPTIONS] COMMAND [ARGS]..."
    yield ""
    yield from (f"  {line}" for line in group.help.splitlines())
    options = {"--help": "Show this message and exit."}
    width = max(map(len, [*options, *group.commands]))
    sections = {title: {name: one.help for name, one in section.items()} for title, section in group.sections.items()}
    for heading, lines in {"Options": options, **sections}.items():
        yield ""
        yield f"{heading}:"
        yield from (f"  {name:{width}}  {text}" for name, text in lines.items())


def _not_understood(path: str, word: str, group: Group) -> str:
    similar = get_close_matches(word, group.commands, n=1)
    hint = f" Did you mean '{similar[0]}'?" if similar else ""
    fault = f"No such option: {word}" if word.startswith("-") else f"No such command '{word}'.{hint}"
    return f"Usage: {path} [OPTIONS] COMMAND [ARGS]...\nTry '{path} --help' for help.\n\nError: {fault}"


def _exit(code: int, message: str) -> Never:
    print(message, file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    app()
