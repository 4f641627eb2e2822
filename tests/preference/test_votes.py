"""Votes in files: what is refused, what is counted once, and what is told."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from reprotune.errors import UserError
from reprotune.preference.filing import add_votes
from reprotune.preference.votes import Ballot, in_cap, read_ballots, read_votes

FAULTS: list[tuple[dict[str, Any], str]] = [
    ({"ballot": "0" * 64}, "line 1 is a vote on ballot '00000000', whose key is not in data/votes"),
    ({"ballot": 7}, "line 1: ballot should be text, not 7"),
    ({"pair": "nothing"}, "line 1: ballot first shows no pair 'nothing'"),
    ({"choice": "1"}, "line 1: choice should be one of left, right, same, both_bad, but it is '1'"),
    ({"voter": " "}, "line 1: voter should be a name"),
    ({"voter": "a\u0007b"}, "line 1: voter should be a name"),
    ({"seconds": -1}, "line 1: seconds should be a number of 0 or more"),
    ({"seconds": True}, "line 1: seconds should be a number of 0 or more"),
]


def counted(folder: Path) -> tuple[list, int]:
    return read_votes(folder, read_ballots(folder))


def test_a_file_is_filed_under_ballot_and_voter(vote: Any, folder: Path) -> None:
    told = add_votes(vote("Ada L."), folder, 1.5)
    assert told == [f"Ada L.: 40 of the 40 pairs of ballot first, in {folder}/first.ada-l-ddd52c.jsonl"]
    votes, double = counted(folder)
    assert (len(votes), double) == (48, 0)
    assert {one.outcome for one in votes if one.control is None} == {0.0}, "all for finetuned, the second by name"
    assert {one.left for one in votes if one.control is None} == {True, False}


@pytest.mark.parametrize(("change", "fault"), FAULTS)
def test_a_wrong_vote_is_refused_and_nothing_filed(change: dict[str, Any], fault: str, vote: Any, folder: Path) -> None:
    with pytest.raises(UserError, match=re.escape(fault)):
        add_votes(vote(changes=[(0, change)]), folder, 1.5)
    assert list(folder.glob("*.jsonl")) == []


def test_a_pair_that_no_page_shows_has_no_votes(vote: Any, ballot: Ballot, folder: Path) -> None:
    hidden = next(pair["pair_id"] for pair in ballot.pairs.values() if pair["place"] is None)
    with pytest.raises(UserError, match="shows no pair"):
        add_votes(vote(changes=[(3, {"pair": hidden})]), folder, 1.5)


def test_the_last_of_several_votes_counts_and_the_others_are_told(vote: Any, folder: Path) -> None:
    add_votes(vote(), folder, 1.5)
    told = add_votes(vote(prefers="base"), folder, 1.5)
    assert told[1] == "  48 votes on a pair that Ada had voted on before: the last one counts"
    votes, double = counted(folder)
    assert {one.outcome for one in votes if one.control is None} == {1.0} and double == 0
    path = next(folder.glob("first.ada*"))
    path.write_text(path.read_text(encoding="utf-8") * 2, encoding="utf-8")
    again, double = counted(folder)
    assert (sorted(again), double) == (sorted(votes), 48)


def test_failed_controls_fast_votes_and_changes_of_mind_are_told(vote: Any, ballot: Ballot, folder: Path) -> None:
    shown = {pair["place"]: pair for pair in ballot.pairs.values() if pair["place"] is not None}
    changes: list[tuple[int, dict[str, Any]]] = []
    for place, pair in shown.items():
        if pair["control"] == "empty":
            changes.append((place, {"choice": "both_bad"}))
        if pair["control"] == "identical":
            changes.append((place, {"choice": "left"}))
        if pair["control"] == "repeat":
            changes.append((place, {"choice": "same", "seconds": 1.4}))
    told = add_votes(vote(changes=changes), folder, 1.5)
    assert told[1:] == [
        "  failed 4 of 4 controls, whose answer everybody can see",
        "  4 of 4 repeated pairs got another vote the second time",
        "  4 votes within less than 1.5 s",
    ]


def test_a_key_that_was_touched_belongs_to_no_page(vote: Any, folder: Path) -> None:
    path = vote()
    key = folder / "first.ballot.parquet"
    key.write_bytes(b"PAR1" + key.read_bytes()[4:-1])
    with pytest.raises(UserError, match=r"first\.ballot\.parquet is no key of a ballot: restore it"):
        add_votes(path, folder, 1.5)


def test_rows_of_model_a_model_b_and_winner_are_imported(folder: Path, tmp_path: Path) -> None:
    rows = [
        {"model_a": "x", "model_b": "y", "winner": "model_a", "judge": "arena_user_1", "question_id": "q1"},
        {"model_a": "y", "model_b": "x", "winner": "model_b", "judge": "arena_user_2", "question_id": "q1", "turn": 1},
        {"model_a": "y", "model_b": "z", "winner": "tie (bothbad)"},
        {"model_a": "z", "model_b": "x", "winner": "tie", "voter": "Ada"},
        {"model_a": "z", "model_b": "x", "winner": "both_bad", "voter": "Ada"},
    ]
    path = tmp_path / "arena export.json"
    path.write_text(json.dumps(rows), encoding="utf-8")
    told = add_votes(path, folder, 1.5)
    assert told[0].startswith("5 votes of 4 voters on 3 models, in ")
    assert add_votes(path, folder, 1.5)[0].endswith(" (in place of what was there)")
    votes, double = counted(folder)
    assert [(one.first_model, one.second_model, one.outcome, one.both_bad, one.left) for one in votes] == [
        ("x", "y", 1.0, False, True),
        ("x", "y", 1.0, False, False),
        ("y", "z", 0.5, True, None),
        ("x", "z", 0.5, False, None),
        ("x", "z", 0.5, True, None),
    ]
    assert [one.voter for one in votes] == ["arena_user_1", "arena_user_2", "anonymous", "Ada", "Ada"] and not double


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ({"model_a": "x", "model_b": "x", "winner": "tie"}, "model_a and model_b are both 'x'"),
        ({"model_a": "x", "model_b": "y", "winner": "x"}, "winner should be one of model_a, model_b, tie, both_bad"),
        ({"model_a": "x", "model_b": None, "winner": "tie"}, "model_b should be text, not None"),
        (["GPT-5", "Claude-3"], "should be an object"),
    ],
)
def test_a_wrong_imported_row_is_refused(row: object, fault: str, folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(row) + "\n", encoding="utf-8")
    with pytest.raises(UserError, match=re.escape(fault)):
        add_votes(path, folder, 1.5)


def test_a_voter_s_name_leads_to_no_other_place(vote: Any, folder: Path) -> None:
    path = vote("Ada")
    path.write_text(path.read_text(encoding="utf-8").replace('"Ada"', '"../../x"'), encoding="utf-8")
    add_votes(path, folder, 1.5)
    assert {place.parent for place in folder.parent.rglob("*.jsonl")} == {folder, path.parent}


def test_a_cap_keeps_the_first_votes_of_each_voter(vote: Any, folder: Path) -> None:
    add_votes(vote("Ada"), folder, 1.5)
    add_votes(vote("Bob"), folder, 1.5)
    votes, _ = counted(folder)
    kept, over = in_cap(votes, 15)
    assert over == 50 and sum(one.control is None for one in kept) == 30
    assert in_cap(votes, None) == (votes, 0)
