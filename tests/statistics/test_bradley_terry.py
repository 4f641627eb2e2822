"""Ratings against choix, against a bootstrap, and against figures that were published."""

import json
import random
from itertools import pairwise
from pathlib import Path

import choix
import numpy as np
import pytest

from reprotune.statistics.bradley_terry import SCALE, Game, bradley_terry

PUBLISHED = ("GPT-5", "Claude-3", "Llama-4", "Llama-3")


def drawn(strengths: dict[str, float], games: int, seed: int, ties: float = 0.2) -> list[Game]:
    draw = random.Random(seed)
    found = []
    for _ in range(games):
        first, second = draw.sample(sorted(strengths), 2)
        chance = 1 / (1 + np.exp(strengths[second] - strengths[first]))
        found.append((first, second, 0.5 if draw.random() < ties else float(draw.random() < chance)))
    return found


@pytest.fixture
def published(shared_data: Path) -> list[Game]:
    """The 60 votes, as [winner, loser], that the author of the book published with a ranking."""
    path = shared_data / "votes/reasoning_from_scratch_votes.json"
    if not path.is_file():
        pytest.skip(f"needs {path}")
    return [(winner, loser, 1.0) for winner, loser in json.loads(path.read_text(encoding="utf-8"))]


def test_published_votes_have_their_maximum_likelihood_ratings_and_wide_intervals(published: list[Game]) -> None:
    found = bradley_terry(published)
    assert found is not None and found.half_widths is not None
    assert tuple(found.models) == PUBLISHED
    assert [round(rating, 1) for rating in found.ratings.tolist()] == [1140.9, 1058.8, 949.9, 850.4]
    assert found.half_widths.min() >= 91 and found.half_widths.max() <= 114
    assert found.tied_ranks == list(pairwise(PUBLISHED)), "no rank is told from the next"


def elo(games: list[Game]) -> dict[str, float]:
    """Return the ratings of Elo (1978) with K = 32, as they were published; they follow the order of the votes."""
    ratings = dict.fromkeys(PUBLISHED, 1000.0)
    for winner, loser, _ in games:
        gain = 32 * (1 - 1 / (1 + 10 ** ((ratings[loser] - ratings[winner]) / 400)))
        ratings[winner] += gain
        ratings[loser] -= gain
    return ratings


def test_the_published_elo_ratings_follow_the_order_of_the_votes_and_ours_do_not(published: list[Game]) -> None:
    assert [round(elo(published)[model], 1) for model in PUBLISHED] == [1095.9, 1058.7, 958.2, 887.2]
    draw, orders = random.Random(3), []
    for _ in range(400):
        orders.append(draw.sample(published, len(published)))
    spread = np.std([[elo(order)[model] for model in PUBLISHED] for order in orders], axis=0)
    assert spread.min() > 14 and spread.max() < 28
    leaders = [max(found, key=found.__getitem__) for found in map(elo, orders)]
    assert 0.03 < np.mean([leader != "GPT-5" for leader in leaders]) < 0.13
    ours = [bradley_terry(order) for order in orders[:2]]
    assert ours[0] is not None and ours[1] is not None
    assert ours[0].ratings == pytest.approx(ours[1].ratings)


@pytest.mark.parametrize("seed", range(5))
def test_strengths_are_those_of_choix(seed: int) -> None:
    games = drawn({"a": 0.0, "b": 0.7, "c": -0.4, "d": 1.1}, 300, seed)
    found = bradley_terry(games)
    assert found is not None
    place = {model: index for index, model in enumerate(found.models)}
    wins = np.zeros((4, 4))
    for first, second, outcome in games:
        wins[place[first], place[second]] += outcome
        wins[place[second], place[first]] += 1 - outcome
    expected = choix.ilsr_pairwise_dense(wins, alpha=0)
    assert (found.ratings - 1000) / SCALE == pytest.approx(expected - expected.mean(), abs=1e-4)
    assert found.separated == []


def test_the_interval_is_that_of_a_bootstrap_also_with_ties() -> None:
    games = drawn({"a": 0.0, "b": 0.6, "c": -0.6}, 400, 11, ties=0.4)
    found = bradley_terry(games)
    assert found is not None and found.half_widths is not None
    generator, samples = np.random.default_rng(2), []
    for _ in range(300):
        again = bradley_terry([games[index] for index in generator.integers(len(games), size=len(games))])
        assert again is not None
        samples.append(dict(zip(again.models, again.ratings, strict=True)))
    for model, half in zip(found.models, found.half_widths, strict=True):
        spread = np.std([sample[model] for sample in samples])
        assert half / 1.96 == pytest.approx(spread, rel=0.12), model


def test_votes_that_depend_on_one_another_make_the_interval_wider() -> None:
    once = drawn({"a": 0.0, "b": 0.6, "c": -0.6}, 120, 4)
    games, rows = once * 4, list(range(120)) * 4
    single, copied, grouped = bradley_terry(once), bradley_terry(games), bradley_terry(games, [rows])
    assert single and copied and grouped
    assert single.half_widths is not None and copied.half_widths is not None and grouped.half_widths is not None
    assert copied.half_widths == pytest.approx(single.half_widths / 2, rel=0.01)
    assert grouped.half_widths == pytest.approx(single.half_widths, rel=0.01)
    too_few = bradley_terry(games, [[row % 7 for row in rows]])
    assert too_few is not None and too_few.half_widths == pytest.approx(copied.half_widths)


@pytest.mark.parametrize(
    ("games", "groups"),
    [
        ([("a", "b", 1.0)] * 9 + [("b", "c", 1.0), ("c", "b", 1.0)], [["a"], ["b", "c"]]),
        ([("a", "b", 0.5), ("c", "d", 0.5)], [["a", "b"], ["c", "d"]]),
    ],
)
def test_a_model_that_never_loses_or_never_meets_the_others_is_flagged(
    games: list[Game], groups: list[list[str]]
) -> None:
    found = bradley_terry(games)
    assert found is not None
    assert found.separated == groups
    assert found.half_widths is None
    assert np.isfinite(found.ratings).all() and np.abs(found.ratings).max() < 4000
    assert len(found.tied_ranks) == len(found.models) - 1


def test_clear_ranks_are_told_apart_and_one_model_has_no_rank() -> None:
    found = bradley_terry(drawn({"a": 0.0, "b": 2.0, "c": 4.0}, 900, 1))
    assert found is not None
    assert found.models == ["c", "b", "a"] and found.tied_ranks == []
    assert bradley_terry([]) is None
