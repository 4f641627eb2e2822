"""Paired comparisons: values of the same rows before and after, or from two models."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from reprotune.statistics.intervals import CONFIDENCE, Estimate, mean, mean_interval, smallest_detectable_difference

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
    stderr: float | None
    """Of the difference, with every row independent; null for fewer than two rows."""
    stderr_clustered: float | None
    """With rows of one cluster depending on one another; null for too few clusters."""
    ci95_low: float | None
    """Of the difference, from the larger standard error; null for fewer than two rows."""
    ci95_high: float | None
    p_value: float | None
    smallest_detectable: float | None
    verdict: str
    """One of `BETTER`, `WORSE`, `NOISE`, `SAME`, `TOO_FEW` and `UNKNOWN`."""


def paired_test(
    pairs: Sequence[tuple[float, float]],
    seed: int,
    span: float | None = None,
    clusters: Sequence[Hashable | None] | None = None,
) -> PairedTest:
    """Compare (before, after) values of the same rows; higher is better.

    `span` is the largest difference that a row can have (100 for scores of 0 to 100), null where there is none;
    `clusters` names each row's cluster. Better or worse is said only if both the sign-flip permutation test at 5 % and
    the interval, which knows of clusters and of rows unseen, exclude 0.
    """
    differences = [after - before for before, after in pairs]
    bounds = None if span is None else (-span, span)
    estimate = mean_interval(differences, bounds, clusters)
    p_value = sign_flip_p(differences, seed)
    return PairedTest(
        n=len(pairs),
        before=mean([before for before, _ in pairs]),
        after=mean([after for _, after in pairs]),
        difference=estimate.score,
        stderr=estimate.stderr,
        stderr_clustered=estimate.stderr_clustered,
        ci95_low=estimate.ci95_low,
        ci95_high=estimate.ci95_high,
        p_value=p_value,
        smallest_detectable=smallest_detectable_difference(differences, bounds, clusters),
        verdict=verdict(differences, p_value, estimate),
    )


def verdict(
    differences: Sequence[float], p_value: float | None, estimate: Estimate, higher_is_better: bool = True
) -> str:
    """Return what paired differences show, given the p-value and the interval of their mean."""
    if estimate.score is None or p_value is None:
        return UNKNOWN
    if not any(differences):
        return SAME
    if sum(map(bool, differences)) < SMALLEST_TESTED or estimate.ci95_low is None or estimate.ci95_high is None:
        return TOO_FEW
    if p_value >= 1 - CONFIDENCE or estimate.ci95_low <= 0 <= estimate.ci95_high:
        return NOISE
    return BETTER if (estimate.score > 0) == higher_is_better else WORSE


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted for being several, in the same order (Holm 1979): each may be compared with 5 %."""
    adjusted, largest = [0.0] * len(p_values), 0.0
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    for rank, place in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = largest
    return adjusted


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
