"""Votes that may be looked at after every one: known values, and simulations with a known truth."""

import numpy as np
import pytest
from scipy import stats

from reprotune.statistics.sequential import STOP, anytime_interval, is_decided, log_evidence, majority, wins_needed


def tallies(share: float, votes: int, runs: int) -> tuple[np.ndarray, np.ndarray]:
    """Return votes so far and wins so far after each vote: (votes,) and (runs, votes)."""
    drawn = np.random.default_rng(5).random((runs, votes)) < share
    return np.arange(1, votes + 1), np.cumsum(drawn, axis=1)


def test_the_evidence_is_the_integral_of_the_likelihood_ratio() -> None:
    assert np.exp(log_evidence(8, 8)) == pytest.approx(2**8 / 9)
    assert np.exp(log_evidence(1, 2)) == pytest.approx(4 / 6)
    shares = np.linspace(0, 1, 200_001)
    ratio = shares**13 * (1 - shares) ** 4 / (0.3**13 * 0.7**4)
    assert np.exp(log_evidence(13, 17, 0.3)) == pytest.approx(np.trapezoid(ratio, shares), rel=1e-8)


def test_no_vote_ends_before_the_eighth() -> None:
    assert [wins_needed(n) for n in (0, 1, 7, 8, 9, 20, 100)] == [None, None, None, 8, 9, 17, 66]
    assert is_decided(8, 8) and is_decided(0, 8) and not is_decided(7, 7) and not is_decided(16, 20)


def test_looking_after_every_vote_is_harmless_here_and_not_with_a_fixed_test() -> None:
    votes, wins = tallies(0.5, 3000, 2000)
    ever = (log_evidence(wins, votes) >= np.log(STOP)).any(axis=1).mean()
    assert 0.015 < ever <= 0.05, "about 3 % in 3,000 votes, 5 % at most for ever"
    votes, wins = votes[:200], wins[:, :200]
    p_values = 2 * stats.binom.cdf(np.minimum(wins, votes - wins), votes, 0.5)
    assert (p_values < 0.05).any(axis=1).mean() == pytest.approx(0.28, abs=0.03)


@pytest.mark.parametrize(("share", "median"), [(0.6, 203), (0.7, 45), (0.8, 19)])
def test_a_preference_is_found_after_about_as_many_votes_as_a_fixed_test_needs(share: float, median: int) -> None:
    votes, wins = tallies(share, 1500, 2000)
    over = log_evidence(wins, votes) >= np.log(STOP)
    assert over.any(axis=1).all()
    assert np.median(over.argmax(axis=1) + 1) == pytest.approx(median, rel=0.12)


@pytest.mark.parametrize("share", [0.5, 0.62, 0.9])
def test_the_interval_covers_at_every_vote_at_once(share: float) -> None:
    votes, wins = tallies(share, 500, 2000)
    assert (log_evidence(wins, votes, share) < np.log(STOP)).all(axis=1).mean() >= 0.95


@pytest.mark.parametrize(("k", "n"), [(30, 50), (60, 100), (120, 200), (0, 5), (5, 5), (1, 1), (9_000, 20_000)])
def test_the_ends_of_the_interval_are_where_the_evidence_is_twenty(k: int, n: int) -> None:
    found = anytime_interval(k, n)
    assert found is not None
    low, high = found
    assert 0 <= low <= k / n <= high <= 1
    for end in found:
        assert end in (0.0, 1.0) or log_evidence(k, n, end) == pytest.approx(np.log(STOP), abs=1e-4)
    assert is_decided(k, n) == (not low < 0.5 < high), "interval and test say the same"


def test_half_widths_at_sixty_percent() -> None:
    for k, n, points in ((30, 50, 20), (60, 100, 15), (120, 200, 11)):
        low, high = anytime_interval(k, n) or (0.0, 0.0)
        assert 50 * (high - low) == pytest.approx(points, abs=0.6)
    assert anytime_interval(0, 0) is None


@pytest.mark.parametrize(
    ("outcomes", "expected"), [([1.0], 1.0), ([1.0, 0.0], 0.5), ([1.0, 0.5], 1.0), ([0.0, 0.5, 0.5], 0.0), ([0.5], 0.5)]
)
def test_several_voters_on_a_pair_make_one_outcome(outcomes: list[float], expected: float) -> None:
    assert majority(outcomes) == expected
