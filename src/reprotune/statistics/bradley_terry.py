"""Ratings of several models from comparisons of two at a time.

The model of Bradley and Terry (1952): a beats b with probability 1 / (1 + exp(strength of b - strength of a)). A tie is
half a win of each. Ratings are strengths on the scale of chess, 400 points for odds of ten to one, with mean 1000.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.special import ndtri

from reprotune.statistics.intervals import CONFIDENCE, MIN_CLUSTERS

SCALE = 400 / np.log(10)
CENTRE = 1000.0
RIDGE = 1e-4
"""Weight of the square of each strength: moves a rating by about a hundredth of a point, and keeps one finite that
would run away because its model never loses."""


Game = tuple[str, str, float]
"""(first model, second model, outcome): 1 where the first is better, 0 where the second is, 0.5 for neither."""


@dataclass(frozen=True)
class Ratings:
    """Ratings of `models`, the best first."""

    models: list[str]
    ratings: np.ndarray
    covariance: np.ndarray
    """Of the ratings, in points squared."""
    separated: list[list[str]]
    """Where no finite ratings fit, the groups of models whose distance the comparisons do not limit; else empty."""

    @property
    def half_widths(self) -> np.ndarray | None:
        """Half of each 95 % interval; null where models are separated, which leaves no interval."""
        if self.separated:
            return None
        return _quantile() * np.sqrt(np.diag(self.covariance).clip(0))

    @property
    def tied_ranks(self) -> list[tuple[str, str]]:
        """Pairs of neighbours in the ranking whose order the comparisons do not tell, at 95 %."""
        found = []
        for row, (first, second) in enumerate(pairwise(self.models)):
            spread = self.covariance[row, row] + self.covariance[row + 1, row + 1] - 2 * self.covariance[row, row + 1]
            gap = self.ratings[row] - self.ratings[row + 1]
            if self.separated or gap <= _quantile() * np.sqrt(max(spread, 0.0)):
                found.append((first, second))
        return found


def bradley_terry(games: Sequence[Game], clusterings: Sequence[Sequence[Hashable]] = ()) -> Ratings | None:
    """Rate the models of `games`; null where fewer than two models occur.

    The covariance is the sandwich estimator (Huber 1967), which stays right although a tie is no outcome of the model;
    from each clustering (a name for every game, games of one name depending on one another) with at least
    `MIN_CLUSTERS` names comes another, and the widest counts.
    """
    models = sorted({model for first, second, _ in games for model in (first, second)})
    if len(models) < 2:
        return None
    place = {model: index for index, model in enumerate(models)}
    design = np.zeros((len(games), len(models)))
    rows = np.arange(len(games))
    design[rows, [place[first] for first, _, _ in games]] = 1
    design[rows, [place[second] for _, second, _ in games]] = -1
    won = np.array([outcome for _, _, outcome in games])
    strengths, bread = _fitted(design, won)
    scores = design * (won - _chance(design @ strengths))[:, None]
    covariance = _widest([_sandwich(bread, scores), *(_clustered(bread, scores, names) for names in clusterings)])
    order = np.argsort(-strengths, kind="stable")
    return Ratings(
        models=[models[index] for index in order],
        ratings=CENTRE + SCALE * strengths[order],
        covariance=SCALE**2 * covariance[np.ix_(order, order)],
        separated=_separated(games, models),
    )


def _fitted(design: np.ndarray, won: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the strengths, of mean 0, and the inverse of the penalised information; by Newton's method."""
    models = design.shape[1]
    level = np.ones((models, models)) / models  # fixes the mean, which no comparison tells
    strengths = np.zeros(models)
    for _ in range(500):
        chance = _chance(design @ strengths)
        slope = design.T @ (won - chance) - RIDGE * strengths
        information = design.T @ (design * (chance * (1 - chance))[:, None]) + RIDGE * np.eye(models)
        step = np.linalg.solve(information + level, slope)
        strengths = strengths + np.clip(step, -1, 1)
        if np.abs(step).max() < 1e-10:
            break
    strengths = strengths - strengths.mean()
    return strengths, np.linalg.inv(information + level)


def _chance(gap: np.ndarray) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-gap)))


def _sandwich(bread: np.ndarray, sums: np.ndarray) -> np.ndarray:
    """Return the covariance of the strengths' distances from their mean, from the scores of independent parts."""
    centred = bread - bread.mean(axis=0)
    return np.asarray(centred @ (sums.T @ sums) @ centred.T)


def _clustered(bread: np.ndarray, scores: np.ndarray, names: Sequence[Hashable]) -> np.ndarray:
    """Return the same where games of one name depend on one another; nothing for too few names."""
    places: dict[Hashable, int] = {}
    members = [places.setdefault(name, len(places)) for name in names]
    groups = len(places)
    if groups < MIN_CLUSTERS:
        return np.zeros_like(bread)
    sums = np.zeros((groups, scores.shape[1]))
    np.add.at(sums, members, scores)
    return _sandwich(bread, sums) * groups / (groups - 1)


def _widest(covariances: list[np.ndarray]) -> np.ndarray:
    return max(covariances, key=lambda found: float(np.trace(found)))


def _separated(games: Sequence[Game], models: list[str]) -> list[list[str]]:
    """Return the groups between which wins go one way or not at all; empty for a single group.

    Finite ratings fit if and only if each model can be reached from every other by a chain of wins (Ford 1957).
    """
    wins = {(first, second) if outcome else (second, first) for first, second, outcome in games}
    wins |= {(second, first) for first, second, outcome in games if 0 < outcome < 1}
    place = {model: index for index, model in enumerate(models)}
    ends = [place[first] for first, _ in wins], [place[second] for _, second in wins]
    graph = coo_array((np.ones(len(wins)), ends), shape=(len(models), len(models)))
    count, labels = connected_components(graph, directed=True, connection="strong")
    groups = [[model for model, label in zip(models, labels, strict=True) if label == group] for group in range(count)]
    return sorted(groups) if count > 1 else []


def _quantile() -> float:
    return float(ndtri((1 + CONFIDENCE) / 2))
