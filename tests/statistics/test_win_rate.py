"""Win rates: against a general optimiser, and by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize

from reprotune.statistics.intervals import wilson_interval
from reprotune.statistics.win_rate import (
    PHI,
    PRECISION,
    length_adjusted,
    outcome_of_scores,
    outcome_of_verdicts,
    position_bias,
    win_rate,
)


def test_win_rate_counts_a_tie_as_half_a_win() -> None:
    found = win_rate([1.0, 1.0, 0.5, 0.0], [10, -10, 0, 4])
    assert (found.win_rate, found.wins, found.losses, found.ties, found.n) == (0.625, 2, 1, 1, 4)
    assert (found.ci95_low, found.ci95_high) == wilson_interval(2.5, 4)
    assert found.mean_length_difference == 1


def test_no_pairs_have_no_rates() -> None:
    assert win_rate([], []) == (None, None, None, 0, 0, 0, 0, None)
    assert position_bias([]) == (None, None)


def test_position_bias_is_the_share_of_pairs_whose_verdicts_name_the_same_position() -> None:
    assert position_bias([(100, 0), (0, 100)]) == (0, 0.5)
    assert position_bias([(100, 100), (100, 0), (50, 100), (0, 0)]) == (0.5, pytest.approx(450 / 800))


def test_outcomes() -> None:
    assert [outcome_of_scores(50, candidate) for candidate in (40, 50, 60)] == [0, 0.5, 1]
    assert [outcome_of_verdicts(*verdicts) for verdicts in ((100, 0), (0, 100), (100, 100), (50, 100))] == [
        0,
        1,
        0.5,
        0.5,
    ]


@given(st.lists(st.tuples(st.sampled_from([0.0, 0.5, 1.0]), st.integers(-500, 500)), min_size=1, max_size=40))
def test_length_adjusted_win_rate_is_the_most_probable_one(rows: list[tuple[float, int]]) -> None:
    won, lengths = np.array(rows, dtype=float).T
    found = length_adjusted(list(won), list(lengths))
    if found.length_adjusted_unknown:
        assert found.length_adjusted_win_rate is None
        return
    bend = np.tanh(lengths / lengths.std())

    def loss(coefficients: np.ndarray) -> float:
        logit = coefficients[0] + coefficients[1] * bend
        return float(np.sum(np.logaddexp(0, logit) - won * logit) + PRECISION / 2 * (coefficients[1] - PHI) ** 2)

    best = minimize(loss, np.array([0.0, PHI])).x
    assert found.length_adjusted_win_rate == pytest.approx(1 / (1 + np.exp(-best[0])), abs=1e-4)
    assert found.length_adjusted_low <= found.length_adjusted_high  # type: ignore[operator] - there is a rate


def test_where_one_model_is_always_longer_nothing_is_adjusted() -> None:
    random = np.random.default_rng(1)
    outcomes = [float(number < 0.83) for number in random.uniform(size=300)]  # whatever the length
    lengths = [-float(number) for number in random.uniform(20, 200, 300)]
    found = length_adjusted(outcomes, lengths)
    assert found == (None, None, None, 0.0, "one model's answers are longer in nearly every pair")


def test_wins_by_length_alone_are_no_wins_at_equal_length() -> None:
    random = np.random.default_rng(2)
    lengths = random.normal(60, 100, 4000)  # the candidate is usually longer
    chances = 1 / (1 + np.exp(-PHI * np.tanh(lengths / lengths.std())))
    outcomes = (random.uniform(size=4000) < chances).astype(float)
    found = length_adjusted(list(outcomes), list(lengths))
    assert outcomes.mean() > 0.55
    assert found.length_adjusted_win_rate == pytest.approx(0.5, abs=0.03)
    assert found.longer_share == (lengths > 0).mean()


def test_the_interval_covers_the_truth() -> None:
    random = np.random.default_rng(3)
    covered = 0
    for _ in range(60):
        lengths = random.normal(30, 100, 150)
        chances = 1 / (1 + np.exp(-0.8 - PHI * np.tanh(lengths / lengths.std())))
        outcomes = (random.uniform(size=150) < chances).astype(float)
        found = length_adjusted(list(outcomes), list(lengths))
        covered += found.length_adjusted_low <= 1 / (1 + np.exp(-0.8)) <= found.length_adjusted_high  # type: ignore[operator]
    assert covered >= 52  # 57 expected


@pytest.mark.parametrize(
    ("outcomes", "reason"), [([], "no pair has a verdict"), ([1.0] * 10, "one model wins every pair")]
)
def test_where_there_is_nothing_to_adjust(outcomes: list[float], reason: str) -> None:
    assert length_adjusted(outcomes, [-5.0, 5.0] * (len(outcomes) // 2)).length_adjusted_unknown == reason


def test_with_little_overlap_the_rate_is_nearer_the_truth_than_the_raw_one() -> None:
    """The candidate is longer in a tenth of the pairs, so that the raw rate is mostly one of length."""
    random = np.random.default_rng(4)
    nearer, truth = 0, 1 / (1 + np.exp(0.2))
    for _ in range(20):
        lengths = random.normal(-130, 100, 400)
        chances = 1 / (1 + np.exp(0.2 - 1.3 * np.tanh(lengths / lengths.std())))  # a judge keener on length than PHI
        outcomes = (random.uniform(size=400) < chances).astype(float)
        found = length_adjusted(list(outcomes), list(lengths))
        assert found.length_adjusted_win_rate is not None and 0.05 < (found.longer_share or 0) < 0.15
        nearer += abs(found.length_adjusted_win_rate - truth) < abs(outcomes.mean() - truth)
    assert nearer == 20
