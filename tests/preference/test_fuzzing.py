"""Whatever bytes votes and the keys of ballots consist of, reading ends in votes or in one sentence."""

import json
from collections.abc import Callable
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from reprotune.errors import UserError
from reprotune.preference.filing import add_votes
from reprotune.preference.votes import KEY_SUFFIX, Ballot, as_vote, checked_rows, read_ballots
from tests.builders.fuzzing import cases, edited, edits, values

IMPORTED = [{"model_a": "a", "model_b": "b", "winner": "model_a", "judge": "Ada", "question_id": n} for n in range(3)]


def is_a_sentence(error: UserError) -> bool:
    return 0 < len(str(error)) < 2000


def read(path: Path, ballots: dict[str, Ballot]) -> None:
    """Read and count votes; what is read can be stored."""
    try:
        for row in checked_rows(path, ballots):
            json.dumps(row, allow_nan=False, ensure_ascii=False).encode()
            if "ballot" in row:
                assert as_vote(row, ballots[row["ballot"]]).outcome in (0, 0.5, 1)
    except UserError as error:
        assert is_a_sentence(error)


@cases(200)
@given(imported=st.booleans(), changes=edits)
def test_votes_of_any_bytes(
    tmp_path: Path,
    ballot: Ballot,
    vote: Callable[..., Path],
    imported: bool,
    changes: list[tuple[float, int, bytes]],
) -> None:
    content = "".join(json.dumps(row) + "\n" for row in IMPORTED).encode() if imported else vote().read_bytes()
    path = tmp_path / "x.jsonl"
    path.write_bytes(edited(content, changes))
    read(path, {ballot.sha256: ballot})


@cases(200)
@given(data=st.data(), value=values)
def test_votes_of_any_values(
    tmp_path: Path, ballot: Ballot, vote: Callable[..., Path], data: st.DataObject, value: object
) -> None:
    row = data.draw(st.sampled_from([json.loads(vote().read_text().splitlines()[0]), IMPORTED[0]]))
    path = tmp_path / "x.jsonl"
    path.write_text(json.dumps({**row, data.draw(st.sampled_from(sorted(row))): value}) + "\n")
    read(path, {ballot.sha256: ballot})
    try:
        for line in add_votes(path, tmp_path / "votes", 1.5):
            line.encode()
    except UserError as error:
        assert is_a_sentence(error)
    assert {one.suffix for one in (tmp_path / "votes").iterdir()} <= {".jsonl", ".parquet", ".html"}


@cases(60)
@given(changes=edits)
def test_keys_of_any_bytes(
    tmp_path: Path, ballot: Ballot, folder: Path, changes: list[tuple[float, int, bytes]]
) -> None:
    content = (folder / f"{ballot.name}{KEY_SUFFIX}").read_bytes()
    other = tmp_path / "other"
    other.mkdir(exist_ok=True)
    (other / f"x{KEY_SUFFIX}").write_bytes(edited(content, changes))
    try:
        read_ballots(other)
    except UserError as error:
        assert is_a_sentence(error)
