"""Paired comparisons: values of the same rows before and after, or from two models."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from reprotune.statistics.intervals import CONFIDENCE, mean, smallest_detectable_difference

CHUNK = 1 << 22
"""Numbers drawn at a time when resampling, to limit memory."""

BETTER, WORSE, NOISE, SAME = "better", "worse", "within noise", "unchanged"
TOO_FEW = "too few rows"
"""The verdict where the rows that changed are too few for any test at 5 %."""
UNKNOWN = "cannot be said"
"""The verdict where there are no rows at all."""

SMALLEST_TESTED = 6
"""Changed rows that a test at 5 % needs: with fewer, p is at least 2 / 2**5 even if all changed in one direction."""


@dataclass(frozen=True)
class PairedTest:
    """Values of the same rows before and after, with the uncertainty of their mean difference."""

    n: int
    before: float | None
    """Mean; null for no rows, as are `after` and `difference`."""
    after: float | None
    difference: float | None
    ci95_low: float | None
    """Of the paired bootstrap; null for fewer than two rows."""
    ci95_high: float | None
    p_value: float | None
    smallest_detectable: float | None
    verdict: str
    """One of `BETTER`, `WORSE`, `NOISE`, `SAME`, `TOO_FEW` and `UNKNOWN`."""


def paired_test(pairs: Sequence[tuple[float, float]], seed: int) -> PairedTest:
    """Compare (before, after) values of the same rows; higher is better.

    The verdict rests on the sign-flip permutation test at 5 %; the interval is the paired bootstrap's.
    """
    differences = [after - before for before, after in pairs]
    # The bootstrap of a single pair would be an interval of no width.
    low, high = (paired_bootstrap(differences, seed) if len(pairs) > 1 else None) or (None, None)
    p_value = sign_flip_p(differences, seed)
    return PairedTest(
        n=len(pairs),
        before=mean([before for before, _ in pairs]),
        after=mean([after for _, after in pairs]),
        difference=mean(differences),
        ci95_low=low,
        ci95_high=high,
        p_value=p_value,
        smallest_detectable=smallest_detectable_difference(differences),
        verdict=_verdict(differences, p_value),
    )


def _verdict(differences: Sequence[float], p_value: float | None) -> str:
    difference = mean(differences)
    if difference is None or p_value is None:
        return UNKNOWN
    if not any(differences):
        return SAME
    if sum(map(bool, differences)) < SMALLEST_TESTED:
        return TOO_FEW
    if p_value >= 1 - CONFIDENCE:
        return NOISE
    return BETTER if difference > 0 else WORSE


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
    """Return the two-sided p-value of "the two sides are exchangeable on every row"; null for no pairs.

    The signs of the paired differences are flipped at random; the observed signs count as one of the draws, so p is
    never 0 (Phipson and Smyth 2010).
    """
    n = len(differences)
    if n == 0:
        return None
    values, random = np.asarray(differences, dtype=float), np.random.default_rng(seed)
    observed = abs(values.sum()) * (1 - 1e-12)  # rounding must not push a flip that changes nothing below it
    extreme = 0
    for rows in _chunks(resamples, n):
        signs = random.integers(2, size=(rows, n), dtype=np.int8) * 2 - 1
        extreme += int(np.count_nonzero(np.abs(signs @ values) >= observed))
    return (extreme + 1) / (resamples + 1)


def _chunks(resamples: int, n: int) -> list[int]:
    """Cut the resamples into pieces of at most `CHUNK` numbers."""
    rows = max(1, CHUNK // n)
    return [min(rows, resamples - start) for start in range(0, resamples, rows)]
