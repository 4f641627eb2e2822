"""What a grouping has to do with a value: the share of the spread of ranks that lies between groups."""

from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np
from scipy.stats import rankdata

RESAMPLES = 10_000


class GroupEffect(NamedTuple):
    """How much groups differ."""

    share: float
    """Share of the variance of ranks that the groups explain, 0 to 1, less what chance alone would."""
    p_value: float
    """Of "the values do not depend on the group"."""


def group_effect(values: Sequence[float], groups: Sequence[Hashable], seed: int) -> GroupEffect | None:
    """Return how much the ranks of `values` depend on the groups; null unless there are two groups and a spare value.

    The share is (H - k + 1) / (n - k) of the Kruskal-Wallis statistic H of k groups and n values (Tomczak and Tomczak
    2014), 0 where that is negative. p is from permuting the values, the observed order being one of the draws.
    """
    members = np.unique(np.array([list(groups).index(group) for group in groups]), return_inverse=True)[1]
    sizes = np.bincount(members)
    n, k = len(values), len(sizes)
    if k < 2 or n <= k:
        return None
    ranks = rankdata(values)
    spread = float(np.var(ranks, ddof=1))
    if spread == 0:
        return GroupEffect(0.0, 1.0)
    centred = ranks - ranks.mean()
    one_hot = np.eye(k)[members]
    observed = _between(centred[None], one_hot, sizes)[0]
    random = np.random.default_rng(seed)
    drawn = random.permuted(np.tile(centred, (RESAMPLES, 1)), axis=1)
    extreme = int(np.count_nonzero(_between(drawn, one_hot, sizes) >= observed * (1 - 1e-12)))
    share = (observed / spread - k + 1) / (n - k)
    return GroupEffect(min(max(0.0, float(share)), 1.0), (extreme + 1) / (RESAMPLES + 1))


def _between(centred: np.ndarray, one_hot: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Sum over groups of size times squared mean: [draws, n] -> [draws]; H is this by the variance of the ranks."""
    found: np.ndarray = ((centred @ one_hot) ** 2 / sizes).sum(axis=1)
    return found
