"""How votes are counted, on ballots whose outcome is known."""

import json
from pathlib import Path
from typing import Any

import pytest

from reprotune.preference.ballot import Plan
from reprotune.preference.filing import add_votes
from reprotune.preference.standing import standing
from reprotune.preference.votes import Ballot, read_ballots, read_votes
from reprotune.preference.writing import write_ballot
from tests.preference.conftest import question


def stand(folder: Path, most: int | None = None) -> dict[str, Any]:
    ballots = read_ballots(folder)
    votes, double = read_votes(folder, ballots)
    return standing(votes, ballots, double, 1.5, most)


def test_one_voter_who_always_prefers_one_model(vote: Any, folder: Path) -> None:
    add_votes(vote(), folder, 1.5)
    found = stand(folder)
    comparison = found["comparisons"]["finetuned_against_base"]
    assert (comparison["wins"], comparison["losses"], comparison["ties"], comparison["identical"]) == (40, 0, 0, 1)
    assert (comparison["share"], comparison["verdict"]) == (1.0, "better")
    assert comparison["win_rate"] == pytest.approx(40.5 / 41), "equal answers are half a win each"
    assert comparison["ci95_low"] > 0.8 and comparison["ci95_high"] == 1
    assert (found["votes"], found["voters"], found["consistent_share"], found["alpha"]) == (40, 1, 1.0, None)
    assert 0.2 < found["left_share"] < 0.8
    assert found["ratings"] is None and comparison["without_a_voter_low"] is None
    assert (found["failed_empty"], found["failed_identical"]) == (0, 0)


def test_two_voters_of_opposite_minds_make_ties(vote: Any, folder: Path) -> None:
    add_votes(vote("Ada"), folder, 1.5)
    add_votes(vote("Bob", prefers="base"), folder, 1.5)
    found = stand(folder)
    comparison = found["comparisons"]["finetuned_against_base"]
    assert (comparison["pairs"], comparison["ties"], comparison["share"]) == (40, 40, None)
    assert (comparison["verdict"], comparison["win_rate"]) == ("open", 0.5)
    assert (comparison["without_a_voter_low"], comparison["without_a_voter_high"]) == (0.0, 1.0)
    assert found["alpha"] < 0 and found["raw_agreement"] == 0
    assert found["by_voter"]["Bob"]["votes"] == 40


def test_equal_votes_of_two_people_are_no_more_evidence_than_one(vote: Any, folder: Path) -> None:
    bad = [(place, {"choice": "both_bad"}) for place in range(20)]
    add_votes(vote("Ada", changes=bad), folder, 1.5)
    alone = stand(folder)["comparisons"]
    add_votes(vote("Bob", changes=bad), folder, 1.5)
    both = stand(folder)
    for key in ("wins", "losses", "evidence", "ci95_low", "both_bad"):
        assert both["comparisons"]["finetuned_against_base"][key] == alone["finetuned_against_base"][key]
    assert alone["finetuned_against_base"]["both_bad"] > 10 and both["alpha"] == 1
    assert both["failed_empty"] > 0


def test_a_cap_leaves_out_and_says_so(vote: Any, folder: Path) -> None:
    add_votes(vote(), folder, 1.5)
    found = stand(folder, most=10)
    assert (found["votes"], found["over_cap"]) == (10, 30)


def test_three_models_are_rated_and_a_rank_that_is_open_is_said(folder: Path) -> None:
    texts = {"base": "b {}", "mid": "m {}", "top": "t {}"}
    asked = [question(n, **{name: text.format(n) for name, text in texts.items()}) for n in range(40)]
    list(write_ballot("three", asked, 0, Plan(1, 0.0, None), folder))
    ballot: Ballot = next(iter(read_ballots(folder).values()))
    rows = []
    for number, pair in enumerate(ballot.pairs.values()):
        models = {pair["left_model"]: "left", pair["right_model"]: "right"}
        best = "top" if "top" in models else "mid"
        worst = next(name for name in models if name != best)
        chosen = best if number % (4 if worst == "base" else 2) else worst
        rows.append({"ballot": ballot.sha256, "pair": pair["pair_id"], "voter": "Ada", "choice": models[chosen]})
    path = folder / "three.ada.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    ratings = stand(folder)["ratings"]
    assert list(ratings["models"])[2] == "base" and ratings["separated"] == []
    assert len(ratings["tied_ranks"]) == 1 and set(ratings["tied_ranks"][0]) == {"mid", "top"}
    assert ratings["models"]["base"]["ci95_high"] < 1000


def test_no_votes_are_no_error(folder: Path) -> None:
    found = stand(folder)
    assert (found["votes"], found["comparisons"], found["ratings"], found["left_share"]) == (0, {}, None, None)
