"""Filing votes into data/votes/: a voter's file with what is wrong with it in words, or one vote after another."""

import errno
import fcntl
import hashlib
import json
import os
import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from reprotune.artifacts import write_text
from reprotune.console import counted
from reprotune.errors import UserError
from reprotune.files import size_words
from reprotune.preference.lines import Row
from reprotune.preference.votes import Ballot, as_vote, checked_rows, is_import, is_passed, read_ballots

MOST_BYTES = 16 << 20
"""Size from which no vote is appended to a file: well below what can be read again."""


def add_votes(path: Path, folder: Path, min_seconds: float) -> list[str]:
    """File the votes of `path` under `folder` and return what to tell; raises `UserError` if a row cannot be used.

    Votes on one ballot by one voter have a file of their own; of several on one pair the last counts, also where an
    earlier one was filed before.
    """
    ballots = read_ballots(folder)
    rows = list(checked_rows(path, ballots))
    if is_import(rows[0]):
        return [_file_imported(path, rows, folder)]
    told: list[str] = []
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row["ballot"], row["voter"]), []).append(row)
    for (digest, voter), own in groups.items():
        told += _file(ballots[digest], voter, own, folder, ballots, min_seconds)
    return told


def _file(
    ballot: Ballot, voter: str, rows: list[Row], folder: Path, ballots: Mapping[str, Ballot], min_seconds: float
) -> Iterator[str]:
    place = folder / f"{ballot.name}.{_part_of_name(voter)}.jsonl"
    before = list(checked_rows(place, ballots)) if place.is_file() else []
    kept: dict[str, Row] = {}
    for row in [*before, *rows]:
        kept.pop(row["pair"], None)
        kept[row["pair"]] = row
    write_text(place, _lines(list(kept.values())))
    votes = [as_vote(row, ballot) for row in kept.values()]
    pairs = [vote for vote in votes if vote.control is None]
    shown = sum(pair["place"] is not None and pair["control"] is None for pair in ballot.pairs.values())
    yield f"{voter}: {len(pairs)} of the {counted(shown, 'pair')} of ballot {ballot.name}, in {place}"
    if double := len(before) + len(rows) - len(kept):
        yield f"  {counted(double, 'vote')} on a pair that {voter} had voted on before: the last one counts"
    checked = [passed for vote in votes if (passed := is_passed(vote)) is not None]
    if not all(checked):
        yield f"  failed {checked.count(False)} of {counted(len(checked), 'control')}, whose answer everybody can see"
    again = {vote.pair_id: vote.choice for vote in votes}
    repeats = [vote.choice == again[vote.repeats] for vote in votes if vote.repeats in again]
    if not all(repeats):
        yield f"  {repeats.count(False)} of {counted(len(repeats), 'repeated pair')} got another vote the second time"
    fast = sum(vote.seconds is not None and vote.seconds < min_seconds for vote in votes)
    if fast:
        yield f"  {counted(fast, 'vote')} within less than {min_seconds:g} s"


def _file_imported(path: Path, rows: Sequence[Row], folder: Path) -> str:
    place = folder / f"imported.{_part_of_name(path.stem)}.jsonl"
    replaced = " (in place of what was there)" if place.is_file() else ""
    write_text(place, _lines(rows))
    models = {row[key] for row in rows for key in ("model_a", "model_b")}
    voters = {row["voter"] for row in rows}
    return (
        f"{counted(len(rows), 'vote')} of {counted(len(voters), 'voter')} on {counted(len(models), 'model')}, in "
        f"{place}{replaced}"
    )


def append_vote(path: Path, row: Row) -> None:
    """Append an imported row to a file, whole or not at all; once this returns, it is on the disk.

    Several processes may append to the same file. Raises `UserError` where it cannot be written.
    """
    line = _lines([row]).encode()
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            _append(descriptor, line, path)
        finally:
            os.close(descriptor)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UserError(f"the vote cannot be kept in {path} ({reason}): mend that and vote again") from error


def _append(descriptor: int, line: bytes, path: Path) -> None:
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode):
        raise UserError(f"{path} is no file: delete it and vote again")
    if found.st_size > MOST_BYTES:
        raise UserError(f"{path} has more than {size_words(MOST_BYTES)}: rename it, the next vote begins another")
    if found.st_size and os.pread(descriptor, 1, found.st_size - 1) != b"\n":  # somebody has edited it
        line = b"\n" + line
    try:
        if os.write(descriptor, line) < len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fsync(descriptor)
    except OSError:
        os.ftruncate(descriptor, found.st_size)
        raise


def _part_of_name(text: str) -> str:
    """Return a name as part of a file's: readable, and different for different names."""
    digest = hashlib.sha256(text.encode()).hexdigest()[:6]
    return f"{re.sub('[^a-z0-9]+', '-', text.lower()).strip('-')[:40] or 'voter'}-{digest}"


def _lines(rows: Sequence[Row]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
