"""Agreement of scores with labels."""

import pytest

from reprotune.statistics.agreement import agreement, weighted_kappa


def test_kappa_of_published_grades_and_of_chance() -> None:
    assert weighted_kappa([0, 25, 50, 75, 100], [0, 25, 50, 75, 100]) == 1
    assert weighted_kappa([0, 100], [100, 0]) == -1
    assert weighted_kappa([50, 50], [50, 50]) is None
    # by hand: one of four a grade off; 1 - (1/4) / (weights by chance)
    first, second = [0, 0, 100, 100], [0, 25, 100, 100]
    by_chance = (2 * (1 * 1 + 2 * 16) + 2 * (1 * 16 + 1 * 9)) / 16
    assert weighted_kappa(first, second) == pytest.approx(1 - 0.25 / by_chance)


def test_lists_of_different_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="99 scores, 100 labels and 100 lengths"):
        agreement([1.0] * 99, [1.0] * 100, [1] * 100)
