"""Win rates: against a general optimiser, and by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize

from reprotune.statistics.intervals import wilson_interval
from reprotune.statistics.win_rate import (
    RIDGE,
    length_controlled_win_rate,
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
    assert win_rate([], []) == (None, None, None, None, 0, 0, 0, 0, None)
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
def test_length_controlled_win_rate_is_the_penalised_maximum(rows: list[tuple[float, int]]) -> None:
    won, lengths = np.array(rows, dtype=float).T
    spread = lengths.std()
    bend = np.tanh(lengths / spread) if spread else np.zeros_like(lengths)

    def loss(coefficients: np.ndarray) -> float:
        logit = coefficients[0] + coefficients[1] * bend
        return float(np.sum(np.logaddexp(0, logit) - won * logit) + RIDGE / 2 * np.sum(coefficients**2))

    best = minimize(loss, np.zeros(2)).x
    found = length_controlled_win_rate(list(won), list(lengths))
    assert found == pytest.approx(1 / (1 + np.exp(-best[0])), abs=1e-4)


def test_wins_by_length_alone_are_no_wins_at_equal_length() -> None:
    lengths = [-100.0, -50.0, 50.0, 100.0] * 20
    outcomes = [float(length > 0) for length in lengths]
    assert length_controlled_win_rate(outcomes, lengths) == pytest.approx(0.5)
    assert length_controlled_win_rate([1.0] * 30, [0.0] * 30) > 0.95  # type: ignore[operator] - there are pairs
    assert length_controlled_win_rate([], []) is None
