"""Rows and seeds at once: worked examples, and how often the interval holds the truth."""

import numpy as np
import pytest
from scipy.stats import ttest_1samp

from reprotune.statistics.ratios import ratio_estimate
from reprotune.statistics.two_way import crossed_mean, crossed_ratio


def draw(random: np.random.Generator, rows: int, seeds: int, of_rows: float, of_seeds: float) -> np.ndarray:
    noise = random.normal(size=(rows, seeds))
    return of_rows * random.normal(size=(rows, 1)) + of_seeds * random.normal(size=seeds) + noise


@pytest.mark.parametrize(("rows", "seeds"), [(175, 5), (40, 3), (20, 2)])
@pytest.mark.parametrize(("of_rows", "of_seeds"), [(1.0, 0.0), (0.0, 0.5), (1.0, 0.5), (0.0, 0.0)])
def test_the_interval_holds_the_truth_at_least_as_often_as_it_says(
    rows: int, seeds: int, of_rows: float, of_seeds: float
) -> None:
    random = np.random.default_rng(7)
    found = [crossed_mean(draw(random, rows, seeds, of_rows, of_seeds)) for _ in range(1000)]
    assert sum(one.low <= 0 <= one.high for one in found) >= 930


def test_without_seeds_that_differ_it_is_the_t_interval_of_the_rows() -> None:
    column = np.random.default_rng(1).normal(size=(30, 1))
    found = crossed_mean(np.tile(column, (1, 4)))
    low, high = ttest_1samp(column[:, 0], 0).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((low, high))
    assert found.stderr_seeds == 0


def test_worked_by_hand() -> None:
    found = crossed_mean(np.array([[1.0, 3.0], [3.0, 5.0]]))
    assert found.mean == 3.0
    assert (found.stderr_rows, found.stderr_seeds) == (1.0, 1.0)  # both variances of means are 2, by 2
    assert found.high == pytest.approx(3 + 12.7062 * 2**0.5, rel=1e-4)  # t with 1 degree of freedom for either


def test_nothing_that_differs_leaves_no_doubt() -> None:
    assert crossed_mean(np.full((3, 2), 0.5)) == (0.5, 0.0, 0.0, 0.5, 0.5)


def test_a_wider_level_is_wider() -> None:
    values = np.random.default_rng(3).normal(size=(20, 3))
    assert crossed_mean(values, 0.99).high > crossed_mean(values).high


def test_with_one_seed_twice_a_ratio_has_the_error_that_it_has_over_documents() -> None:
    random = np.random.default_rng(2)
    sizes = random.integers(1, 40, size=50)
    amounts = sizes * random.uniform(0.5, 2, size=50)
    values = crossed_ratio(np.stack([amounts, amounts], axis=1), sizes)
    expected = ratio_estimate(list(amounts), list(sizes), [None] * 50)
    assert values.mean() == pytest.approx(expected.score)
    assert crossed_mean(values).stderr_rows == pytest.approx(expected.stderr)
