"""How far two judges agree on the same answers; a module of its own, because scipy.stats is slow to import."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy import stats

GRADES = 5
"""Grades for kappa: the rubric's anchors 0, 25, 50, 75, 100. A score gets the nearest grade; halves go up."""


class Agreement(NamedTuple):
    """How far scores agree with labels of the same answers; a measure is null where it is not defined."""

    n: int
    pearson: float | None
    spearman: float | None
    kendall: float | None
    """Kendall's tau-b."""
    mean_absolute_error: float
    kappa: float | None
    """Cohen's kappa of the five grades, with quadratic weights."""
    bias: float
    """Mean of score minus label."""
    length_bias: float | None
    """Spearman correlation of score minus label with the answer's length: above 0, long answers are favoured."""


def agreement(scores: Sequence[float], labels: Sequence[float], lengths: Sequence[int]) -> Agreement:
    """Compare scores with labels row by row; raises ValueError when the lists differ in length."""
    if not len(scores) == len(labels) == len(lengths):
        raise ValueError(
            f"lists of {len(scores)} scores, {len(labels)} labels and {len(lengths)} lengths cannot describe the same "
            "answers"
        )
    errors = np.subtract(scores, labels)
    return Agreement(
        n=len(scores),
        pearson=_correlation(stats.pearsonr, scores, labels),
        spearman=_correlation(stats.spearmanr, scores, labels),
        kendall=_correlation(stats.kendalltau, scores, labels),
        mean_absolute_error=float(np.mean(np.abs(errors))),
        kappa=weighted_kappa(scores, labels),
        bias=float(np.mean(errors)),
        length_bias=_correlation(stats.spearmanr, errors.tolist(), lengths),
    )


def weighted_kappa(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Return Cohen's kappa with quadratic weights over five grades (Cohen 1968).

    Null where both lists consist of one and the same grade.
    """
    table = np.zeros((GRADES, GRADES))
    np.add.at(table, (_grades(first), _grades(second)), 1)
    distance = np.subtract.outer(np.arange(GRADES), np.arange(GRADES)) ** 2
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / table.sum()
    by_chance = float((distance * expected).sum())
    return 1 - float((distance * table).sum()) / by_chance if by_chance else None


def _grades(scores: Sequence[float]) -> np.ndarray:
    return np.floor(np.asarray(scores, dtype=float) / 100 * (GRADES - 1) + 0.5).astype(int)


def _correlation(function: Any, first: Sequence[float], second: Sequence[float]) -> float | None:
    """Apply one of scipy's correlations; null where a list is constant, for which there is none."""
    if len(set(first)) < 2 or len(set(second)) < 2:
        return None
    return float(function(first, second).statistic)
