"""Intervals and rank correlation against scipy and against published figures."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from reprotune.statistics.intervals import (
    mean,
    mean_interval,
    smallest_detectable_difference,
    spearman,
    wilson_interval,
)

VALUES = list(np.random.default_rng(7).normal(5, 40, size=110))


def test_mean_interval_is_students() -> None:
    estimate = mean_interval(VALUES)
    low, high = stats.t.interval(0.95, len(VALUES) - 1, loc=np.mean(VALUES), scale=stats.sem(VALUES))
    assert estimate == pytest.approx((np.mean(VALUES), stats.sem(VALUES), low, high, 110))


def test_too_few_values_have_no_uncertainty() -> None:
    assert mean([]) is None
    assert mean_interval([]) == (None, None, None, None, 0)
    assert mean_interval([4.0]) == (4.0, None, None, None, 1)
    assert smallest_detectable_difference([1.0]) is None


def test_smallest_detectable_difference_of_the_published_spread() -> None:
    unit = np.array([-1.0, 1.0] * 55)
    differences = list(47 * unit / np.std(unit, ddof=1))
    assert smallest_detectable_difference(differences) == pytest.approx(12.55, abs=0.01)


@pytest.mark.parametrize(("successes", "n"), [(0, 10), (3, 10), (10, 10), (104, 110)])
def test_wilson(successes: int, n: int) -> None:
    expected = stats.binomtest(successes, n).proportion_ci(method="wilson")
    assert wilson_interval(successes, n) == pytest.approx((expected.low, expected.high))
    assert wilson_interval(0, 0) is None


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=3))
def test_spearman_equals_scipys(pairs: list[tuple[int, int]]) -> None:
    first, second = zip(*pairs, strict=True)
    found = spearman(first, second)
    if len(set(first)) < 2 or len(set(second)) < 2:
        assert found is None
    else:
        assert found == pytest.approx(stats.spearmanr(first, second).statistic, abs=1e-12)
