"""A few votes and many verdicts of a judge, joined: prediction-powered inference.

The judge's mean over the rows without a vote is corrected by what votes and judge differ by where there are both. So a
judge's bias cancels, and a judge that agrees with the voters makes the interval narrower. The mean is that of
Angelopoulos et al. (2023), with the judge's weight tuned as in PPI++ (Angelopoulos, Duchi and Zrnic 2023).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import stdtrit

from reprotune.statistics.intervals import CONFIDENCE


class Joined(NamedTuple):
    """The mean vote over all rows, estimated from both."""

    estimate: float
    low: float
    """95 % interval, within the range of a share."""
    high: float
    weight: float
    """0: the votes alone; 1: every difference of the judge counts in full."""
    voted: int
    """Rows with votes."""
    unvoted: int
    """Rows with a verdict of the judge alone."""
    votes_low: float
    """The interval of the same kind from the votes alone."""
    votes_high: float


def prediction_powered(votes: Sequence[float], judged: Sequence[float], others: Sequence[float]) -> Joined | None:
    """Join `votes` in 0..1 with what the judge says of the same rows (`judged`) and of rows without a vote (`others`).

    The voted rows should be a random sample of all rows. Null for fewer than two votes. Raises ValueError where `votes`
    and `judged` differ in length.
    """
    said, judge, rest = (np.asarray(values, dtype=float) for values in (votes, judged, others))
    if len(said) != len(judge):
        raise ValueError(f"{len(said)} votes and {len(judge)} verdicts cannot be about the same rows")
    n, more = len(said), len(rest)
    if n < 2:
        return None
    weight = 0.0
    everything = np.concatenate([judge, rest])
    if more and np.ptp(everything) > 0:
        shared = float(np.cov(said, judge, ddof=0)[0, 1])
        weight = float(np.clip(shared / (np.var(everything, ddof=1) * (1 + n / more)), 0, 1))
    left = said - weight * judge
    estimate = float(left.mean()) + (weight * float(rest.mean()) if more else 0.0)
    variance = float(np.var(left, ddof=1)) / n + (weight**2 * float(np.var(rest)) / more if more else 0.0)
    alone = float(np.var(said, ddof=1)) / n
    quantile = float(stdtrit(n - 1, (1 + CONFIDENCE) / 2))

    def ends(centre: float, spread: float) -> tuple[float, float]:
        half = quantile * float(np.sqrt(spread))
        return max(0.0, centre - half), min(1.0, centre + half)

    low, high = ends(estimate, variance)
    estimate = min(max(estimate, 0.0), 1.0)
    return Joined(estimate, low, high, weight, n, more, *ends(float(said.mean()), alone))
