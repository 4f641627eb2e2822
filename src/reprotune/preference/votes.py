"""Votes in files: what the page of a ballot downloads, and rows of model_a, model_b and winner as LMArena has them.

They are checked when they are added and again whenever they are read, since anybody may edit a file in Git.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from reprotune.artifacts import read_table
from reprotune.errors import UserError
from reprotune.files import TEXT_BYTES, read_bytes
from reprotune.preference.contracts import BALLOT, NOTHING
from reprotune.preference.lines import Row, name_field, read_objects, text_field

FOLDER = Path("data/votes")
KEY_SUFFIX, PAGE_SUFFIX = ".ballot.parquet", ".ballot.html"
REMEDY = "give the file that the ballot's page downloads, or rows with model_a, model_b and winner"
CHOICES = ("left", "right", "same", "both_bad")
WINNERS = {
    "model_a": "model_a",
    "model_b": "model_b",
    "tie": "tie",
    "both_bad": "both_bad",
    "bothbad": "both_bad",
    "tie (bothbad)": "both_bad",
}
"""What imported rows call an outcome -> what it is."""
MOST_SECONDS = 10**7
ANONYMOUS = "anonymous"
"""The voter of imported rows that name none."""


class Ballot(NamedTuple):
    """The key of a ballot."""

    name: str
    sha256: str
    pairs: dict[str, Row]
    """Pair -> its row of `BALLOT`."""


class Vote(NamedTuple):
    """A row of `VOTES`."""

    source: str
    pair_id: str
    record: str
    voter: str
    first_model: str
    second_model: str
    outcome: float
    both_bad: bool
    left: bool | None
    seconds: float | None
    control: str | None
    repeats: str | None

    @property
    def once(self) -> tuple[str, ...]:
        """What a voter can vote on once."""
        return self.source, self.pair_id, self.first_model, self.second_model, self.voter

    @property
    def choice(self) -> str:
        """What was preferred, whichever side it was on."""
        return "neither" if self.outcome == 0.5 else self.first_model if self.outcome else self.second_model


def read_ballots(folder: Path) -> dict[str, Ballot]:
    """Return the ballots with a key in `folder` by SHA-256; raises `UserError` where one cannot be read."""
    found = {}
    for path in sorted(folder.glob(f"*{KEY_SUFFIX}")):
        remedy = f"restore it (`git checkout {path}`)"
        digest = hashlib.sha256(read_bytes(path, remedy, TEXT_BYTES)).hexdigest()
        try:
            rows = read_table(path, BALLOT).to_pylist()
        except UserError as error:
            raise UserError(f"{path} is no key of a ballot: {remedy}") from error
        found[digest] = Ballot(path.name.removesuffix(KEY_SUFFIX), digest, {row["pair_id"]: row for row in rows})
    return found


def is_import(row: Mapping[str, Any]) -> bool:
    """Tell whether a row names its models itself, instead of a pair of a ballot."""
    return "ballot" not in row and "model_a" in row and "model_b" in row


def checked_rows(path: Path, ballots: Mapping[str, Ballot]) -> Iterator[Row]:
    """Yield the rows of a file of votes with the keys that are stored; raises `UserError` for the first wrong one."""
    imported = None
    for number, (place, row) in enumerate(read_objects(path, REMEDY), 1):
        if imported is None:
            imported = is_import(row)
        yield _imported_row(row, place, number) if imported else _ballot_row(row, place, ballots)


def _ballot_row(row: Row, place: str, ballots: Mapping[str, Ballot]) -> Row:
    digest, pair = text_field(row, "ballot", place, REMEDY), text_field(row, "pair", place, REMEDY)
    if digest not in ballots:
        names = ", ".join(sorted(ballot.name for ballot in ballots.values())) or "there is none"
        raise UserError(
            f"{place} is a vote on ballot {digest[:8]!r}, whose key is not in {FOLDER} (ballots there: {names}): get "
            f"that key (NAME{KEY_SUFFIX}) from whoever made the page, or vote on the page that belongs to a key here"
        )
    ballot = ballots[digest]
    known = ballot.pairs.get(pair)
    if known is None or known["place"] is None:
        raise UserError(f"{place}: ballot {ballot.name} shows no pair {pair[:40]!r}: {REMEDY}")
    choice = text_field(row, "choice", place, REMEDY)
    if choice not in CHOICES:
        raise UserError(f"{place}: choice should be one of {', '.join(CHOICES)}, but it is {choice[:40]!r}: {REMEDY}")
    voter = name_field(row, "voter", place, REMEDY)
    return {"ballot": digest, "pair": pair, "voter": voter, "choice": choice, "seconds": _seconds(row, place)}


def _imported_row(row: Row, place: str, number: int) -> Row:
    first, second = (name_field(row, key, place, REMEDY) for key in ("model_a", "model_b"))
    if first == second:
        raise UserError(f"{place}: model_a and model_b are both {first!r}: {REMEDY}")
    winner = text_field(row, "winner", place, REMEDY)
    if winner not in WINNERS:
        raise UserError(f"{place}: winner should be one of {', '.join(WINNERS)}, but it is {winner[:40]!r}: {REMEDY}")
    who = next((row[key] for key in ("voter", "judge") if isinstance(row.get(key), str | int)), ANONYMOUS)
    asked = next((row[key] for key in ("question", "question_id") if isinstance(row.get(key), str | int)), number)
    voter = name_field({"voter": str(who)}, "voter", place, REMEDY)
    question = name_field({"question": str(asked)}, "question", place, REMEDY)
    return {"model_a": first, "model_b": second, "winner": WINNERS[winner], "voter": voter, "question": question}


def _seconds(row: Row, place: str) -> float | None:
    value = row.get("seconds")
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MOST_SECONDS:
        raise UserError(f"{place}: seconds should be a number of 0 or more: {REMEDY}")
    return float(value)


def read_votes(folder: Path, ballots: Mapping[str, Ballot]) -> tuple[list[Vote], int]:
    """Read the votes in `folder`, in the order of the files' names and lines; returns also how many were double.

    Of several votes of one voter on one pair the last counts. Raises `UserError` as `checked_rows` does.
    """
    read = 0
    counted: dict[tuple[str, ...], Vote] = {}
    for path in sorted(folder.glob("*.jsonl")):
        for row in checked_rows(path, ballots):
            vote = _imported(row, path.name) if is_import(row) else as_vote(row, ballots[row["ballot"]])
            counted.pop(vote.once, None)
            counted[vote.once] = vote
            read += 1
    return list(counted.values()), read - len(counted)


def as_vote(row: Row, ballot: Ballot) -> Vote:
    """Join a checked row with the key."""
    pair, choice = ballot.pairs[row["pair"]], row["choice"]
    left = {"left": True, "right": False}.get(choice)
    models = pair["left_model"], pair["right_model"]
    first, second = sorted(models)
    preferred = None if left is None else models[0 if left else 1]
    outcome = 0.5 if preferred is None else float(preferred == first)
    return Vote(
        source=f"{ballot.name}{KEY_SUFFIX}",
        pair_id=pair["pair_id"],
        record=pair["record"],
        voter=row["voter"],
        first_model=first,
        second_model=second,
        outcome=outcome,
        both_bad=choice == "both_bad",
        left=left,
        seconds=row["seconds"],
        control=pair["control"],
        repeats=pair["repeats"],
    )


def _imported(row: Row, source: str) -> Vote:
    first, second = sorted((row["model_a"], row["model_b"]))
    left = {"model_a": True, "model_b": False}.get(row["winner"])
    preferred = None if left is None else row["model_a" if left else "model_b"]
    return Vote(
        source=source,
        pair_id=row["question"],
        record=f"{source}:{row['question']}",
        voter=row["voter"],
        first_model=first,
        second_model=second,
        outcome=0.5 if preferred is None else float(preferred == first),
        both_bad=row["winner"] == "both_bad",
        left=left,
        seconds=None,
        control=None,
        repeats=None,
    )


def is_passed(vote: Vote) -> bool | None:
    """Tell whether a vote on a control is as it should be; null for a pair that counts and for a repeated one."""
    if vote.control == "empty":
        return vote.choice not in ("neither", NOTHING)
    return vote.choice == "neither" if vote.control == "identical" else None


def in_cap(votes: Iterable[Vote], most: int | None) -> tuple[list[Vote], int]:
    """Return the first `most` votes of every voter, controls not counted, and how many are over that."""
    kept, seen, over = [], dict[str, int](), 0
    for vote in votes:
        if vote.control is None:
            seen[vote.voter] = seen.get(vote.voter, 0) + 1
            if most is not None and seen[vote.voter] > most:
                over += 1
                continue
        kept.append(vote)
    return kept, over
