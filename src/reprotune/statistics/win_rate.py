"""How often a candidate beats a baseline, and how far the verdicts follow position or length instead.

An outcome is 1 where the candidate is better, 0 where the baseline is, and 0.5 for a tie. A verdict is the points of
the answer shown first: 100 where it is better, 0 where the other one is, 50 for a tie.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from reprotune.statistics.intervals import CONFIDENCE, mean, wilson_interval

PHI, PRECISION = 1.0, 80.0
"""Prior of the length coefficient: mean and 1 / variance. It comes from GPT-4-turbo judging chat answers, where it
reproduces AlpacaEval's length-controlled win rates of 56 models within 0.9 points; other judges may differ."""
LEAST_OVERLAP = 0.05
"""Each model has to have the longer answer in this share of the pairs; else equal length lies outside the data."""
RESAMPLES = 1000
FARTHEST = 12.0
"""Largest logit of a win rate."""


class WinRate(NamedTuple):
    """How often the candidate wins; the rates are null for no outcomes."""

    win_rate: float | None
    """A tie counts as half a win."""
    ci95_low: float | None
    """Wilson's interval, which ties make wider than necessary."""
    ci95_high: float | None
    n: int
    wins: int
    losses: int
    ties: int
    mean_length_difference: float | None


class LengthAdjusted(NamedTuple):
    """The win rate between answers of equal length; null where it cannot be told."""

    length_adjusted_win_rate: float | None
    length_adjusted_low: float | None
    """95 % interval."""
    length_adjusted_high: float | None
    longer_share: float | None
    """Share of the pairs in which the candidate's answer is the longer one."""
    length_adjusted_unknown: str | None
    """Why there is no such rate; null where there is one."""


NO_LENGTH_ADJUSTMENT = LengthAdjusted(None, None, None, None, "no judge was asked")


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


def length_adjusted(outcomes: Sequence[float], length_differences: Sequence[float], seed: int = 0) -> LengthAdjusted:
    """Return the win rate to be expected from a judge between answers of equal length.

    The logistic model logit p = theta + phi * tanh(dlen / sd(dlen)), read at dlen = 0 (after AlpacaEval's
    length-controlled win rate; Dubois et al. 2024), with theta free and the prior `PHI`: without one, the model reads
    any difference of quality as one of length where hardly any pair is near equal length. The interval is a percentile
    bootstrap over the pairs.
    """
    won, lengths = np.asarray(outcomes, dtype=float), np.asarray(length_differences, dtype=float)
    if not len(won):
        return LengthAdjusted(None, None, None, None, "no pair has a verdict")
    longer = float((lengths > 0).mean())
    if min(longer, float((lengths < 0).mean())) < LEAST_OVERLAP:
        return LengthAdjusted(None, None, None, longer, "one model's answers are longer in nearly every pair")
    if not 0 < won.mean() < 1:
        return LengthAdjusted(None, None, None, longer, "one model wins every pair")
    bend = np.tanh(lengths / lengths.std())
    weights = np.random.default_rng(seed).multinomial(len(won), np.full(len(won), 1 / len(won)), RESAMPLES)
    rates = _rates_at_equal_length(won, bend, np.vstack([np.ones(len(won)), weights]))
    low, high = np.quantile(rates[1:], [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return LengthAdjusted(float(rates[0]), float(low), float(high), longer, None)


def _rates_at_equal_length(won: np.ndarray, bend: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Fit the model to each row of `weights` (samples x pairs) by Newton's method; return the rates at dlen = 0."""
    theta, phi = np.zeros(len(weights)), np.full(len(weights), PHI)
    for _ in range(200):
        rate = 1 / (1 + np.exp(-(theta[:, None] + phi[:, None] * bend)))
        left, curve = weights * (won - rate), weights * rate * (1 - rate)
        slope_theta, slope_phi = left.sum(axis=1), left @ bend - PRECISION * (phi - PHI)
        a, b, d = curve.sum(axis=1) + 1e-9, curve @ bend, curve @ bend**2 + PRECISION
        step_theta, step_phi = np.array([d * slope_theta - b * slope_phi, a * slope_phi - b * slope_theta]) / (
            a * d - b * b
        )
        # a longer step may overshoot; a resample in which one model wins every pair has no maximum but this bound
        theta = np.clip(theta + np.clip(step_theta, -1, 1), -FARTHEST, FARTHEST)
        phi = phi + np.clip(step_phi, -1, 1)
        if max(np.abs(step_theta[np.abs(theta) < FARTHEST]).max(initial=0), np.abs(step_phi).max()) < 1e-9:
            break
    return np.asarray(1 / (1 + np.exp(-theta)))
