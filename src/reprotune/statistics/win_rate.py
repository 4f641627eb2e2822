"""How often a candidate beats a baseline, and how far the verdicts follow position or length instead.

An outcome is 1 where the candidate is better, 0 where the baseline is, and 0.5 for a tie. A verdict is the points of
the answer shown first: 100 where it is better, 0 where the other one is, 50 for a tie.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from reprotune.statistics.intervals import mean, wilson_interval

RIDGE = 0.1
"""Penalty on the squared coefficients, which keeps them finite where one model wins every row."""


class WinRate(NamedTuple):
    """How often the candidate wins; the rates are null for no outcomes."""

    win_rate: float | None
    """A tie counts as half a win."""
    ci95_low: float | None
    """Wilson's interval, which ties make wider than necessary."""
    ci95_high: float | None
    length_controlled_win_rate: float | None
    n: int
    wins: int
    losses: int
    ties: int
    mean_length_difference: float | None


class PositionBias(NamedTuple):
    """How far verdicts on both orders of a pair follow the position; null for no pairs."""

    position_bias: float | None
    """Share of the pairs whose two verdicts prefer the same position, and so contradict each other."""
    first_share: float | None
    """Share of the points that went to the answers shown first; 0.5 without a preference."""


def win_rate(outcomes: Sequence[float], length_differences: Sequence[float]) -> WinRate:
    """Summarise outcomes; the length differences are candidate minus baseline, for the same pairs."""
    low, high = wilson_interval(sum(outcomes), len(outcomes)) or (None, None)
    return WinRate(
        win_rate=mean(outcomes),
        ci95_low=low,
        ci95_high=high,
        length_controlled_win_rate=length_controlled_win_rate(outcomes, length_differences),
        n=len(outcomes),
        wins=outcomes.count(1.0),
        losses=outcomes.count(0.0),
        ties=outcomes.count(0.5),
        mean_length_difference=mean(length_differences),
    )


def position_bias(verdicts: Sequence[Sequence[float]]) -> PositionBias:
    """Measure the position bias; each pair has two verdicts, one on each order."""
    if not verdicts:
        return PositionBias(None, None)
    same_position = [min(pair) > 50 or max(pair) < 50 for pair in verdicts]
    return PositionBias(mean(same_position), float(np.mean(verdicts)) / 100)


def outcome_of_scores(baseline: float, candidate: float) -> float:
    """Return the outcome that two scores imply."""
    return 0.5 + 0.5 * float(np.sign(candidate - baseline))


def outcome_of_verdicts(baseline_first: float, candidate_first: float) -> float:
    """Return the outcome of two verdicts, one on each order; a preference counts only where both agree on it."""
    if baseline_first < 50 < candidate_first:
        return 1.0
    return 0.0 if candidate_first < 50 < baseline_first else 0.5


def length_controlled_win_rate(outcomes: Sequence[float], length_differences: Sequence[float]) -> float | None:
    """Return the win rate to be expected between answers of equal length; null for no pairs.

    The logistic model logit p = theta + phi * tanh(dlen / sd(dlen)), fitted by Newton's method and read at dlen = 0
    (after AlpacaEval's length-controlled win rate; Dubois et al. 2024).
    """
    if not outcomes:
        return None
    won, lengths = np.asarray(outcomes, dtype=float), np.asarray(length_differences, dtype=float)
    spread = float(lengths.std())
    features = np.column_stack([np.ones_like(won), np.tanh(lengths / spread) if spread else np.zeros_like(won)])
    coefficients = np.zeros(2)
    for _ in range(100):
        rate = 1 / (1 + np.exp(-features @ coefficients))
        gradient = features.T @ (won - rate) - RIDGE * coefficients
        curvature = (features * (rate * (1 - rate))[:, None]).T @ features + RIDGE * np.eye(2)
        step = np.linalg.solve(curvature, gradient)
        coefficients += step / max(1.0, float(np.abs(step).max()))  # a longer step may overshoot
        if np.abs(step).max() < 1e-10:
            break
    return float(1 / (1 + np.exp(-coefficients[0])))
