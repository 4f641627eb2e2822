"""Means over rows and seeds: against the analysis of variance, and how often the intervals hold."""

import numpy as np
import pytest

from reprotune.statistics.crossed import crossed_mean, repeated_test
from reprotune.statistics.intervals import mean_interval
from reprotune.statistics.paired import BETTER, NOISE, SAME, TOO_FEW, WORSE


def drawn(draw: np.random.Generator, rows: np.ndarray, seeds: int, seed_sd: float, rest_sd: float) -> np.ndarray:
    shape = (seeds, len(rows))
    return rows + draw.normal(0, seed_sd, (seeds, 1)) + draw.normal(0, rest_sd, shape)


def test_the_variance_is_that_of_the_two_way_analysis() -> None:
    """Against the mean squares, written out as the textbook does."""
    draw = np.random.default_rng(1)
    values = drawn(draw, draw.normal(50, 9, 40), 6, 3.0, 5.0)
    seeds, rows = values.shape
    grand, by_seed, by_row = values.mean(), values.mean(axis=1), values.mean(axis=0)
    ms_seeds = rows * ((by_seed - grand) ** 2).sum() / (seeds - 1)
    ms_rows = seeds * ((by_row - grand) ** 2).sum() / (rows - 1)
    total = ((values - grand) ** 2).sum()
    ms_rest = (total - (seeds - 1) * ms_seeds - (rows - 1) * ms_rows) / ((seeds - 1) * (rows - 1))
    variance = (ms_rows + ms_seeds - ms_rest) / (seeds * rows)
    degrees = variance**2 / (
        (ms_rows / (seeds * rows)) ** 2 / (rows - 1) + (ms_seeds / (seeds * rows)) ** 2 / (seeds - 1)
    )
    found = crossed_mean(values, None)
    assert found is not None
    assert found.mean == pytest.approx(grand)
    assert found.share.stderr == pytest.approx(np.sqrt(variance))
    assert found.share.degrees == pytest.approx(degrees)
    assert found.share.stderr**2 == pytest.approx(found.share.stderr_rows**2 + found.share.stderr_seeds**2)


def test_equal_seeds_leave_the_interval_of_the_rows() -> None:
    row = np.random.default_rng(2).uniform(0, 100, 30)
    found = crossed_mean(np.tile(row, (4, 1)), (0.0, 100.0))
    alone = mean_interval(row.tolist(), (0.0, 100.0))
    assert found is not None
    assert (found.ci95_low, found.ci95_high) == pytest.approx((alone.ci95_low, alone.ci95_high))
    assert found.share.stderr_seeds == 0.0


@pytest.mark.parametrize(
    ("before", "after", "seed_sd", "row_sd"),
    [(5, 5, 2.0, 0.0), (5, 5, 2.0, 8.0), (3, 3, 4.0, 0.0), (5, 5, 0.0, 0.0), (2, 2, 2.0, 4.0), (5, 1, 2.0, 4.0)],
)
def test_the_interval_holds_and_the_detectable_difference_is_detected(
    before: int, after: int, seed_sd: float, row_sd: float
) -> None:
    draw = np.random.default_rng(3)
    covered, called, detectable, times = 0, 0, [], 600
    for _ in range(times):
        rows = draw.normal(50, 15, 60)
        old = drawn(draw, rows, before, seed_sd, 8.0)
        new = drawn(draw, rows + draw.normal(0, row_sd, 60), after, seed_sd, 8.0)
        test, _ = repeated_test(old, new, None)
        assert test.ci95_low is not None
        assert test.ci95_high is not None
        covered += test.ci95_low <= 0 <= test.ci95_high
        called += test.verdict in (BETTER, WORSE)
        detectable.append(test.smallest_detectable)
    assert covered >= 0.925 * times
    assert called <= 0.075 * times
    seen, difference = 0, float(np.mean(detectable))
    for _ in range(times):
        rows = draw.normal(50, 15, 60)
        old = drawn(draw, rows, before, seed_sd, 8.0)
        new = drawn(draw, rows + draw.normal(0, row_sd, 60), after, seed_sd, 8.0) + difference
        seen += repeated_test(old, new, None)[0].verdict == BETTER
    assert seen >= (0.76 if min(before, after) > 2 else 0.7) * times


def test_single_runs_take_noise_of_the_seed_for_a_difference() -> None:
    """Why repeats exist: rows alone do not see what all of them share."""
    draw = np.random.default_rng(4)
    times, alone, together = 200, 0, 0
    for _ in range(times):
        rows = draw.normal(50, 15, 100)
        old, new = (drawn(draw, rows, 5, 3.0, 5.0) for _ in range(2))
        interval = mean_interval((new[0] - old[0]).tolist())
        assert interval.ci95_low is not None
        assert interval.ci95_high is not None
        alone += not interval.ci95_low <= 0 <= interval.ci95_high
        together += repeated_test(old, new, None)[0].verdict != NOISE
    assert alone > 0.5 * times
    assert together < 0.08 * times


def test_clusters_widen_the_interval() -> None:
    draw = np.random.default_rng(5)
    kinds = np.repeat(np.arange(10), 8)
    old = np.tile(draw.normal(50, 5, 80), (3, 1)) + draw.normal(0, 1, (3, 80))
    new = old + draw.normal(0, 6, 10)[kinds]
    plain, _ = repeated_test(old, new, None)
    clustered, share = repeated_test(old, new, None, kinds.tolist())
    assert clustered.stderr_clustered is not None
    assert plain.stderr is not None
    assert clustered.stderr_clustered > 2 * plain.stderr
    assert share.stderr_rows == pytest.approx(clustered.stderr_clustered)


@pytest.mark.parametrize(
    ("old", "new", "verdict"),
    [
        ([[1.0, 2, 3]] * 2, [[1.0, 2, 3]] * 2, SAME),
        ([[1.0, 2, 3]] * 2, [[1.0, 2, 9]] * 2, TOO_FEW),
        ([[1.0]] * 2, [[9.0]] * 2, TOO_FEW),
    ],
)
def test_few_rows(old: list[list[float]], new: list[list[float]], verdict: str) -> None:
    test, _ = repeated_test(np.array(old), np.array(new), 100.0)
    assert test.verdict == verdict


def test_no_rows_and_too_few_seeds() -> None:
    test, _ = repeated_test(np.empty((2, 0)), np.empty((3, 0)), 100.0)
    assert test.difference is None
    assert crossed_mean(np.ones((1, 9)), None) is None
    with pytest.raises(ValueError, match="two seeds"):
        repeated_test(np.ones((1, 9)), np.ones((1, 9)), None)
