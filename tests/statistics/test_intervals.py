"""Intervals and rank correlation against scipy and against published figures."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from reprotune.statistics.intervals import (
    clustered_stderr,
    mean,
    mean_interval,
    smallest_detectable_difference,
    spearman,
    wilson_interval,
)

VALUES = list(np.random.default_rng(7).normal(5, 40, size=110))


def test_without_bounds_the_mean_interval_is_students() -> None:
    estimate = mean_interval(VALUES)
    low, high = stats.t.interval(0.95, len(VALUES) - 1, loc=np.mean(VALUES), scale=stats.sem(VALUES))
    assert estimate.stderr_clustered is None
    assert (estimate.score, estimate.stderr) == pytest.approx((np.mean(VALUES), stats.sem(VALUES)))
    assert (estimate.ci95_low, estimate.ci95_high, estimate.n) == pytest.approx((low, high, 110))


def test_too_few_values_have_no_uncertainty() -> None:
    assert mean([]) is None
    assert mean_interval([]) == (None, None, None, None, None, 0)
    assert mean_interval([4.0]) == (4.0, None, None, None, None, 1)
    assert smallest_detectable_difference([1.0]) is None


@given(st.lists(st.sampled_from([0.0, 1.0, 50.0, 99.0, 100.0]), min_size=2))
def test_intervals_of_bounded_scores_stay_within_the_bounds_and_have_a_width(scores: list[float]) -> None:
    found = mean_interval(scores, (0, 100))
    assert found.ci95_low is not None and found.ci95_high is not None and found.score is not None
    assert 0 <= found.ci95_low < found.ci95_high <= 100
    assert found.ci95_low <= found.score <= found.ci95_high


@pytest.mark.parametrize("n", [4, 10, 30, 100])
@pytest.mark.parametrize("rate", [0.5, 0.9, 0.97, 0.99])
def test_intervals_of_right_and_wrong_cover_the_true_mean(n: int, rate: float) -> None:
    draws = 100.0 * (np.random.default_rng(11).random((1000, n)) < rate)
    found = [mean_interval(list(scores), (0, 100)) for scores in draws]
    covered = [e.ci95_low <= 100 * rate <= e.ci95_high for e in found if e.ci95_low is not None and e.ci95_high]
    assert np.mean(covered) >= 0.93  # Student's interval covers 9 % at n = 10 and a rate of 0.99


def test_the_clustered_error_is_millers() -> None:
    draw = np.random.default_rng(2)
    clusters = [f"kind {row % 12}" for row in range(90)]
    values = [draw.normal(0, 1) + 3 * (row % 12) for row in range(90)]
    centred = np.asarray(values) - np.mean(values)
    same = np.equal.outer(clusters, clusters)
    miller = np.sqrt((np.outer(centred, centred) * same).sum()) / 90
    found, groups = clustered_stderr(values, clusters)
    assert groups == 12
    assert found == pytest.approx(miller * np.sqrt(12 / 11))
    assert found > 2 * stats.sem(values)
    plain, wide = mean_interval(values), mean_interval(values, clusters=clusters)
    assert wide.stderr_clustered == found
    assert plain.ci95_low is not None and wide.ci95_low is not None and wide.ci95_low < plain.ci95_low
    detectable = smallest_detectable_difference(values, clusters=clusters)
    assert detectable == pytest.approx((stats.t.ppf(0.975, 11) + stats.norm.ppf(0.8)) * found)


def test_few_clusters_and_rows_of_their_own_change_nothing() -> None:
    assert clustered_stderr([1.0, 2.0, 3.0], ["a", "b", "b"]) == (None, 0)
    assert clustered_stderr(VALUES, [None] * 110) == (None, 0)
    assert clustered_stderr(VALUES, list(range(110)))[0] == pytest.approx(stats.sem(VALUES))


def test_smallest_detectable_difference_of_the_published_spread() -> None:
    unit = np.array([-1.0, 1.0] * 55)
    differences = list(47 * unit / np.std(unit, ddof=1))
    assert smallest_detectable_difference(differences) == pytest.approx(12.65, abs=0.01)


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
