"""Which trial goes on: always one of the best, never a failed one, and the same whatever the budget."""

import math
from collections.abc import Callable

import numpy as np
import pytest

from reprotune.sweep.halving import Promotion, promotion


def halve(losses: Callable[[int, int], float], trials: int, levels: int, eta: int) -> list[list[float]]:
    """Run a search to its end; return the losses of each trial at the levels that it has reached."""
    reached: list[list[float]] = []
    while True:
        goes_on = promotion(reached, levels, eta)
        if goes_on is not None:
            assert len(reached[goes_on.trial]) == goes_on.level
            reached[goes_on.trial].append(losses(goes_on.trial, goes_on.level))
        elif len(reached) < trials:
            reached.append([losses(len(reached), 0)])
        else:
            return reached


def test_worked_by_hand() -> None:
    assert promotion([[0.5]], 3, 2) is None
    assert promotion([[0.5], [0.4]], 3, 2) == Promotion(1, 1)
    assert promotion([[0.5], [0.4, 0.3]], 3, 2) is None
    assert promotion([[0.5], [0.4, 0.3], [0.2]], 3, 2) == Promotion(2, 1)
    assert promotion([[0.5], [0.4, 0.3], [0.2, 0.35]], 3, 2) == Promotion(1, 2)
    assert promotion([[0.5], [0.5]], 2, 2) == Promotion(0, 1)


def test_a_failed_trial_goes_no_further_but_counts() -> None:
    assert promotion([[math.inf], [math.inf]], 2, 2) is None
    assert promotion([[math.inf], [0.9]], 2, 2) == Promotion(1, 1)
    assert promotion([[0.1, math.inf], [0.9]], 2, 2) is None


@pytest.mark.parametrize("eta", [2, 3])
def test_a_larger_budget_passes_through_every_smaller_one(eta: int) -> None:
    values = np.random.default_rng(1).random((60, 3))
    values[7, 0] = math.inf

    def loss(trial: int, level: int) -> float:
        return float(values[trial, level])

    whole = halve(loss, 60, 3, eta)
    for budget in range(1, 60):
        part = halve(loss, budget, 3, eta)
        assert all(len(few) <= len(many) for few, many in zip(part, whole, strict=False))


def test_in_the_end_the_best_share_of_every_rung_has_gone_on() -> None:
    values = np.random.default_rng(2).random(48)
    reached = halve(lambda trial, level: float(values[trial]) / (level + 1), 48, 3, 2)
    best = sorted(range(48), key=values.__getitem__)
    assert all(len(reached[trial]) > 1 for trial in best[:24])
    assert all(len(reached[trial]) == 3 for trial in best[:12])
    assert sum(map(len, reached)) < 48 + 24 + 12 + 20  # a few early ones more, which later trials have overtaken


def test_without_rungs_nothing_goes_on() -> None:
    assert promotion([[0.3], [0.2], [0.1]], 1, 2) is None
