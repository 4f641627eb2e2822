"""How far two judges agree on the same answers; apart from `statistics`, for scipy.stats is slow to import."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats


class Agreement(NamedTuple):
    """How far two lists of scores for the same answers agree."""

    pearson: float
    spearman: float
    kendall: float
    mean_absolute_error: float
    n: int


def agreement(first: Sequence[float], second: Sequence[float]) -> Agreement:
    """Compare two lists row by row; raises ValueError when their lengths differ, for then the rows do not match."""
    if len(first) != len(second):
        raise ValueError(f"lists of {len(first)} and {len(second)} scores do not belong to the same answers")
    return Agreement(
        pearson=float(stats.pearsonr(first, second).statistic),
        spearman=float(stats.spearmanr(first, second).statistic),
        kendall=float(stats.kendalltau(first, second).statistic),
        mean_absolute_error=float(np.mean(np.abs(np.subtract(first, second)))),
        n=len(first),
    )
