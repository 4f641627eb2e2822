"""A rate over items of several subjects, with the uncertainty that is left once the subjects are fixed."""

from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np

from reprotune.statistics.intervals import wilson_interval


class Rate(NamedTuple):
    """A share of items with its uncertainty.

    `rate` and the interval are null for no items; the errors for fewer than two, or for no subject of two.
    """

    rate: float | None
    stderr: float | None
    """With every item independent: the variance within the subjects, pooled, by the number of items."""
    stderr_clustered: float | None
    """With items of one cluster depending on one another; null where no cluster has two items."""
    ci95_low: float | None
    ci95_high: float | None
    n: int


def stratified_rate(
    values: Sequence[float], strata: Sequence[Hashable], clusters: Sequence[Hashable] | None = None
) -> Rate:
    """Return the share of ones among `values`, each 0 or 1, whose subjects are `strata`.

    The standard error is that of lm-eval's groups: the pooled variance within the strata, sum((n_i - 1) s_i^2) /
    (n - strata), by n. `clusters` names items that repeat one another; their deviations are summed before they are
    squared (Liang and Zeger 1986). The interval is Wilson's for as many independent items as would have the larger
    error, and never for more than there are: subjects in which every answer is right are not known to be perfect.
    """
    n = len(values)
    if not n:
        return Rate(None, None, None, None, None, 0)
    found = np.asarray(values, dtype=float)
    rate, stderr, grouped = float(found.mean()), None, None
    places, sizes = _places(strata)
    spare = n - len(sizes)
    if spare:
        left = found - (np.bincount(places, weights=found) / sizes)[places]
        stderr = float(np.sqrt((left**2).sum() / spare / n))
        members, counts = _places(clusters) if clusters is not None else (places, np.ones(1))
        if clusters is not None and counts.max() > 1:
            grouped = float(np.sqrt((np.bincount(members, weights=left) ** 2).sum() / spare / n))
    independent = float(n) if clusters is None else float(len(set(clusters)))
    widest = max(stderr or 0.0, grouped or 0.0)
    if widest and 0 < rate < 1:
        independent = min(independent, rate * (1 - rate) / widest**2)
    low, high = wilson_interval(rate * independent, independent) or (None, None)
    return Rate(rate, stderr, grouped, low, high, n)


def _places(names: Sequence[Hashable]) -> tuple[np.ndarray, np.ndarray]:
    """Return the number of each name, counted by first appearance, and how often each number occurs."""
    numbers: dict[Hashable, int] = {}
    places = np.array([numbers.setdefault(name, len(numbers)) for name in names])
    return places, np.bincount(places)
