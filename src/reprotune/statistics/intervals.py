"""Means with their uncertainty, and paired comparisons of two models on the same rows."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import ndtri, stdtrit

CONFIDENCE = 0.95
CHUNK = 1 << 22
"""Numbers drawn at a time when resampling, to bound memory."""


class Estimate(NamedTuple):
    """A mean with its standard error and 95 % t-interval.

    `score` is null for no values; the uncertainty is null for fewer than two, which say nothing about spread.
    """

    score: float | None
    stderr: float | None
    ci95_low: float | None
    ci95_high: float | None
    n: int


def mean_interval(values: Sequence[float]) -> Estimate:
    """Return the mean of independent values with Student's t-interval."""
    n = len(values)
    if n == 0:
        return Estimate(None, None, None, None, 0)
    mean = float(np.mean(values))
    if n == 1:
        return Estimate(mean, None, None, None, 1)
    stderr = float(np.std(values, ddof=1) / np.sqrt(n))
    half = float(stdtrit(n - 1, (1 + CONFIDENCE) / 2)) * stderr
    return Estimate(mean, stderr, mean - half, mean + half, n)


def smallest_detectable_difference(differences: Sequence[float], power: float = 0.8) -> float | None:
    """Return the true mean difference that a two-sided test at 5 % finds with `power`, at this n and spread."""
    n = len(differences)
    if n < 2:
        return None
    return float((ndtri((1 + CONFIDENCE) / 2) + ndtri(power)) * np.std(differences, ddof=1) / np.sqrt(n))


def paired_bootstrap(differences: Sequence[float], seed: int, resamples: int = 10_000) -> tuple[float, float] | None:
    """Return the 95 % percentile bootstrap interval of the mean paired difference; null for no pairs."""
    n = len(differences)
    if n == 0:
        return None
    values, random = np.asarray(differences, dtype=float), np.random.default_rng(seed)
    means = [values[random.integers(n, size=(rows, n))].mean(axis=1) for rows in _chunks(resamples, n)]
    low, high = np.quantile(np.concatenate(means), [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


def sign_flip_p(differences: Sequence[float], seed: int, resamples: int = 10_000) -> float | None:
    """Return the two-sided p-value of "the two models are exchangeable on every row"; null for no pairs.

    The signs of the paired differences are flipped at random; the observed labelling counts as one of the draws,
    so p is never 0 (Phipson and Smyth 2010).
    """
    n = len(differences)
    if n == 0:
        return None
    values, random = np.asarray(differences, dtype=float), np.random.default_rng(seed)
    observed = abs(values.sum()) * (1 - 1e-12)  # a flip that changes nothing must not fall short by rounding
    extreme = 0
    for rows in _chunks(resamples, n):
        signs = random.integers(2, size=(rows, n), dtype=np.int8) * 2 - 1
        extreme += int(np.count_nonzero(np.abs(signs @ values) >= observed))
    return (extreme + 1) / (resamples + 1)


def wilson_interval(successes: float, n: int) -> tuple[float, float] | None:
    """Return the 95 % Wilson score interval of a rate; null for no trials. Half a success is a tie."""
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


def _chunks(resamples: int, n: int) -> list[int]:
    """Cut the resamples into pieces of at most `CHUNK` numbers."""
    rows = max(1, CHUNK // n)
    return [min(rows, resamples - start) for start in range(0, resamples, rows)]
