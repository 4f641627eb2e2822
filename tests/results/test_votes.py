"""What people preferred, in words."""

from typing import Any

import pytest

from reprotune.results.votes import comparison_facts, rating_rows, rating_sentences, verdict_sentence, vote_lines


def compared(wins: int, losses: int, verdict: str) -> dict[str, Any]:
    return {
        "candidate": "finetuned",
        "baseline": "base",
        "wins": wins,
        "losses": losses,
        "ties": 3,
        "both_bad": 1,
        "identical": 2,
        "share": None if not wins + losses else wins / (wins + losses),
        "ci95_low": 0.1,
        "ci95_high": 0.9,
        "verdict": verdict,
        "win_rate": 0.5,
        "without_a_voter_low": None,
        "without_a_voter_high": None,
    }


@pytest.mark.parametrize(
    ("comparison", "sentence"),
    [
        (compared(20, 2, "better"), "Decided: finetuned is preferred to base."),
        (compared(2, 20, "worse"), "Decided: base is preferred to finetuned."),
        (compared(4, 16, "open"), "Not decided: of 20 pairs with a winner, one model would need 17; the most is 16."),
        (compared(7, 0, "open"), "Not decided: 7 pairs with a winner: too few for any majority."),
        (compared(1, 0, "open"), "Not decided: 1 pair with a winner: too few for any majority."),
    ],
)
def test_a_verdict_is_a_sentence(comparison: dict[str, Any], sentence: str) -> None:
    assert verdict_sentence(comparison) == sentence


def test_without_a_winner_there_is_no_share() -> None:
    assert not any("interval" in name for name, _ in comparison_facts(compared(0, 0, "open")))


def test_open_ranks_and_models_that_never_lose_are_named() -> None:
    models = {name: {"rating": rating, "ci95_low": None} for name, rating in (("b", 900.0), ("a", 1100.0))}
    ratings = {"models": models, "separated": [["a"], ["b", "c"]], "tied_ranks": [["a", "b"]]}
    assert rating_rows(ratings) == [("a", "1100 (no interval)"), ("b", "900 (no interval)")]
    assert rating_sentences(ratings) == [
        "Between these groups all votes go one way, or there are none, so that no rating fits: a; b, c. The distances "
        "shown have no meaning but their sign.",
        "Ranks cannot be told apart: a and b.",
    ]


def test_no_votes_are_one_line() -> None:
    assert vote_lines({"votes": 0}) == [
        "nobody has voted yet: `reprotune ballot NAME base finetuned` makes a page to vote on"
    ]
