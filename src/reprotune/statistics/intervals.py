"""Means and rates with their uncertainty, and the correlation of ranks."""

from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import ndtri, stdtrit

CONFIDENCE = 0.95


MIN_CLUSTERS = 8
"""Clusters that a clustered standard error needs: with fewer, their own spread is unknown."""


class Estimate(NamedTuple):
    """A mean with its standard errors and 95 % interval.

    `score` is null when there are no values; the uncertainty is null for fewer than two, which say nothing about
    spread, and `stderr_clustered` for fewer than `MIN_CLUSTERS` clusters.
    """

    score: float | None
    stderr: float | None
    """With every row independent."""
    stderr_clustered: float | None
    """With rows of one cluster depending on one another."""
    ci95_low: float | None
    """From the wider of the two."""
    ci95_high: float | None
    n: int


def mean(values: Sequence[float]) -> float | None:
    """Return the mean; null for no values."""
    return float(np.mean(values)) if len(values) else None


def mean_interval(
    values: Sequence[float],
    bounds: tuple[float, float] | None = None,
    clusters: Sequence[Hashable | None] | None = None,
) -> Estimate:
    """Return the mean with a t-interval that covers the true mean in small and discrete samples too.

    `bounds` are the smallest and the largest value that a row can have. One row at each is added to the interval (not
    to the mean), as Agresti and Caffo (2000) do for rates: if every row seen has the same value, unseen ones may
    still differ. The interval ends at the bounds.

    `clusters` names each row's cluster, e.g. its category; rows without one (null) are independent. See
    `clustered_stderr`.
    """
    n, centre = len(values), mean(values)
    if centre is None or n < 2:
        return Estimate(centre, None, None, None, None, n)
    middle, stderr, quantile = _padded(values, bounds, clusters)
    low, high = middle - quantile * stderr, middle + quantile * stderr
    if bounds is not None:
        low, high = max(low, bounds[0]), min(high, bounds[1])
    grouped, _ = clustered_stderr(values, clusters)
    return Estimate(centre, float(np.std(values, ddof=1) / np.sqrt(n)), grouped, low, high, n)


def smallest_detectable_difference(
    differences: Sequence[float],
    bounds: tuple[float, float] | None = None,
    clusters: Sequence[Hashable | None] | None = None,
    power: float = 0.8,
) -> float | None:
    """Return the true mean difference that an interval like `mean_interval`'s tells from 0 with `power`.

    Null for fewer than two differences.
    """
    if len(differences) < 2:
        return None
    _, stderr, quantile = _padded(differences, bounds, clusters)
    return (quantile + float(ndtri(power))) * stderr


def _padded(
    values: Sequence[float], bounds: tuple[float, float] | None, clusters: Sequence[Hashable | None] | None
) -> tuple[float, float, float]:
    """Return the middle, the standard error and the quantile of t that make the wider interval."""
    middle, stderr, n = wider_error(values, bounds, clusters)
    return middle, stderr, t_quantile(n)


def wider_error(
    values: Sequence[float], bounds: tuple[float, float] | None, clusters: Sequence[Hashable | None] | None
) -> tuple[float, float, int]:
    """Return the middle, the standard error and the number of independent values that make the wider interval.

    The bounds and clusters are those of `mean_interval`.
    """
    ends = [] if bounds is None else list(bounds)
    padded = np.array([*values, *ends], dtype=float)
    plain = float(np.std(padded, ddof=1) / np.sqrt(len(padded))), len(values)
    grouped = None if clusters is None else clustered_stderr(list(padded), [*clusters, *(None for _ in ends)])
    if grouped is None or grouped[0] is None:
        return float(padded.mean()), *plain
    wide = grouped[0], grouped[1]
    return float(padded.mean()), *max(plain, wide, key=lambda error: error[0] * t_quantile(error[1]))


def clustered_stderr(values: Sequence[float], clusters: Sequence[Hashable | None] | None) -> tuple[float | None, int]:
    """Return the standard error of the mean if rows of one cluster depend on one another, and the number of clusters.

    Null for fewer than `MIN_CLUSTERS` named clusters. The cluster-robust estimator of Liang and Zeger (1986), as Miller
    (2024, "Adding Error Bars to Evals") uses it for questions of one group, with the factor G / (G - 1) for few
    clusters: the square root of the sum over clusters of (sum of the deviations from the mean)^2, divided by n.
    """
    if clusters is None or len({name for name in clusters if name is not None}) < MIN_CLUSTERS:
        return None, 0
    places: dict[Hashable, int] = {}
    members = [
        places.setdefault((row, None) if name is None else name, len(places)) for row, name in enumerate(clusters)
    ]
    deviations = np.asarray(values, dtype=float) - np.mean(values)
    sums = np.bincount(members, weights=deviations)
    groups = len(sums)
    return float(np.sqrt(groups / (groups - 1) * (sums**2).sum()) / len(values)), groups


def t_quantile(n: int) -> float:
    """Return the quantile of Student's t for a 95 % interval from `n` independent values."""
    return float(stdtrit(n - 1, (1 + CONFIDENCE) / 2))


def wilson_interval(successes: float, n: float) -> tuple[float, float] | None:
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
