"""Means and rates with their uncertainty, and the correlation of ranks."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import ndtri, stdtrit

CONFIDENCE = 0.95


class Estimate(NamedTuple):
    """A mean with its standard error and 95 % t-interval.

    `score` is null when there are no values; the uncertainty is null for fewer than two, which say nothing about
    spread.
    """

    score: float | None
    stderr: float | None
    ci95_low: float | None
    ci95_high: float | None
    n: int


def mean(values: Sequence[float]) -> float | None:
    """Return the mean; null for no values."""
    return float(np.mean(values)) if len(values) else None


def mean_interval(values: Sequence[float]) -> Estimate:
    """Return the mean of independent values with Student's t-interval."""
    n, centre = len(values), mean(values)
    if centre is None or n < 2:
        return Estimate(centre, None, None, None, n)
    stderr = float(np.std(values, ddof=1) / np.sqrt(n))
    half = float(stdtrit(n - 1, (1 + CONFIDENCE) / 2)) * stderr
    return Estimate(centre, stderr, centre - half, centre + half, n)


def smallest_detectable_difference(differences: Sequence[float], power: float = 0.8) -> float | None:
    """Return the true mean difference that a two-sided test at 5 % detects with `power`, for this n and spread.

    Null for fewer than two differences.
    """
    n = len(differences)
    if n < 2:
        return None
    return float((ndtri((1 + CONFIDENCE) / 2) + ndtri(power)) * np.std(differences, ddof=1) / np.sqrt(n))


def wilson_interval(successes: float, n: int) -> tuple[float, float] | None:
    """Return the 95 % Wilson score interval of a rate; null for no trials. A tie counts as half a success."""
    if n == 0:
        return None
    z = float(ndtri((1 + CONFIDENCE) / 2))
    rate = successes / n
    centre = (rate + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * float(np.sqrt(rate * (1 - rate) / n + z * z / (4 * n * n)))
    return max(0.0, centre - half), min(1.0, centre + half)


def spearman(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Return Spearman's rank correlation; null where either list has fewer than two different values."""
    if len(set(first)) < 2 or len(set(second)) < 2:
        return None
    return float(np.corrcoef(_ranks(first), _ranks(second))[0, 1])


def _ranks(values: Sequence[float]) -> np.ndarray:
    """Return the rank of each value; equal values share the mean of their ranks."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[place]
