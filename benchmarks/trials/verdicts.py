"""How a command ended, judged without a person."""

import re
from dataclasses import dataclass, field
from pathlib import Path

HANG_SECONDS = 30.0
MEMORY_BYTES = 1 << 30
"""More than this beyond a plain run is too much."""

VERDICTS = {
    "fine": "exit code 0 and the right results",
    "sentence": "one sentence that names what is wrong, and exit code 1",
    "cure": "DVC's own complaint, which the manual's cure ends",
    "traceback": "a traceback",
    "fault": "called a bug of Reprotune",
    "killed": "ended by a signal",
    "hang": f"no end within {HANG_SECONDS:.0f} seconds, those left out in which others had the processor",
    "memory": "1 GB more than a plain run",
    "accepted though bad": "exit code 0 on input that cannot be right",
    "wrong": "other results than an undisturbed run",
    "vague": "a failure without exactly one sentence, or one that names nothing",
}
GOOD = ("fine", "sentence", "cure")

ERROR = re.compile(r"(?:^|: )error: (.*)", re.IGNORECASE)
USAGE = re.compile(r"^Usage: |^Try .* --help", re.MULTILINE)
NAMED = re.compile(r"[^\s:]+[./][\w./-]+|\d|'[^']+'|`[^`]+`|[A-Z_]{6,}|--\w+|memory")
"""A file, a key, a number, something quoted, an option, an environment variable, the memory: what one can look for."""


@dataclass(frozen=True)
class Ran:
    """One command that has ended."""

    words: list[str]
    code: int
    seconds: float
    memory: int
    """Bytes beyond what the process began with."""
    hung: bool
    stdout: str
    stderr: str

    @property
    def said(self) -> str:
        return self.stdout + self.stderr


@dataclass
class Result:
    """The verdict on a case."""

    case: str
    """`group/subject/number`, which repeats it under the same seed."""
    verdict: str
    what: str
    """What was done."""
    why: str = ""
    """The part of the output, or the comparison, that the verdict rests on."""
    seconds: float = 0.0
    ran: list[Ran] = field(default_factory=list, repr=False)

    @property
    def bad(self) -> bool:
        return self.verdict not in GOOD


def judged(ran: Ran, plain_memory: int = 0, fails_quietly: bool = False) -> tuple[str, str]:  # noqa: PLR0911 - a list
    """Return the verdict on one command and its reason.

    `plain_memory` is what the command takes when nothing is wrong. `fails_quietly`: exit code 1 may be an answer
    (`gate`, `deps --check`), which needs no sentence.
    """
    if ran.hung:
        return "hang", ran.stderr[ran.stderr.find("most recent call first") :][:900]
    if ran.memory > plain_memory + MEMORY_BYTES:
        return "memory", f"{ran.memory >> 20} MB, {plain_memory >> 20} MB without the fault"
    if "Traceback (most recent call last)" in ran.said:
        return "traceback", tail(ran.said)
    if "bug in Reprotune" in ran.said:
        return "fault", next(line for line in ran.said.splitlines() if "bug in Reprotune" in line)[:400]
    if ran.code < 0:
        return "killed", f"signal {-ran.code}; {tail(ran.stderr)}"
    if ran.code == 0:
        return "fine", ""
    errors = [match[1] for line in ran.stderr.splitlines() if (match := ERROR.search(line))]
    if (len(errors) == 1 and ran.code == 1) or (
        errors and ran.words[1:] == ["check"]
    ):  # one for each fault that it finds
        return ("sentence", errors[0]) if NAMED.search(errors[0]) else ("vague", errors[0])
    if ran.code == 2 and USAGE.search(ran.stderr):
        return "sentence", tail(ran.stderr)
    if not errors and ran.code == 1 and fails_quietly:
        return "fine", ""
    return "vague", f"exit code {ran.code}, {len(errors)} sentences: {tail(ran.said)}"


def tail(text: str, characters: int = 700) -> str:
    return text.strip()[-characters:]


def different(found: dict[str, str], wanted: dict[str, str]) -> list[str]:
    """Return the files whose hashes differ, or that only one side has."""
    return sorted(name for name in found.keys() | wanted.keys() if found.get(name) != wanted.get(name))


def hashes(root: Path, names: tuple[str, ...]) -> dict[str, str]:
    """Return the SHA-256 of every file below these paths of a folder."""
    from reprotune.scratch import file_sha256  # noqa: PLC0415

    found: dict[str, str] = {}
    for name in names:
        path = root / name
        files = [path] if path.is_file() else [one for one in path.rglob("*") if one.is_file()]
        found |= {str(file.relative_to(root)): file_sha256(file) for file in files}
    return found
