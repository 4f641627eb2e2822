"""Ballots of made-up answers, and votes on them."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from reprotune.preference.ballot import Plan
from reprotune.preference.contestants import Question
from reprotune.preference.votes import Ballot, read_ballots
from reprotune.preference.writing import write_ballot

MODELS = ("base", "finetuned")
Vote = Callable[..., Path]


def question(number: int, **answers: str) -> Question:
    given = answers or {"base": f"The the {number}", "finetuned": f"It is city {number}."}
    return Question(f"{number:016x}", f"What is the capital of country {number}?", f"City {number}.", given)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "votes"


@pytest.fixture
def ballot(folder: Path) -> Ballot:
    """A ballot of 40 pairs and one of equal answers, with controls."""
    questions = [*(question(number) for number in range(40)), question(99, base="the same", finetuned="the same ")]
    list(write_ballot("first", questions, 0, Plan(123, 0.1, None), folder))
    return next(iter(read_ballots(folder).values()))


@pytest.fixture
def vote(ballot: Ballot, tmp_path: Path) -> Vote:
    """Write a file as the page downloads it: a voter who prefers one model, and passes the controls."""

    def write(voter: str = "Ada", prefers: str = "finetuned", changes: Iterable[tuple[int, dict]] = ()) -> Path:
        rows = []
        for pair in sorted(filter(lambda pair: pair["place"] is not None, ballot.pairs.values()), key=by_place):
            wanted = {prefers, "(reference)"}
            choice = "left" if pair["left_model"] in wanted else "right"
            choice = "same" if pair["control"] == "identical" else choice
            rows.append(
                {"ballot": ballot.sha256, "pair": pair["pair_id"], "voter": voter, "choice": choice, "seconds": 2.5}
            )
        for place, change in changes:
            rows[place] |= change
        path = tmp_path / f"votes-{voter}.jsonl"
        path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
        return path

    return write


def by_place(pair: dict[str, Any]) -> int:
    return int(pair["place"])
