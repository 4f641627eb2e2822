"""Rates over subjects: the error of lm-eval's groups, clusters, and intervals that cover."""

import numpy as np
import pytest
from scipy import stats

from reprotune.statistics.stratified import stratified_rate

DRAW = np.random.default_rng(11)
SUBJECTS = {"law": (150, 0.3), "history": (40, 0.7), "physics": (12, 0.25), "alone": (1, 1.0)}
STRATA = [name for name, (count, _) in SUBJECTS.items() for _ in range(count)]
VALUES = [float(DRAW.random() < rate) for count, rate in SUBJECTS.values() for _ in range(count)]


def test_the_error_is_that_of_lm_evals_groups() -> None:
    metrics = pytest.importorskip("lm_eval.api.metrics", reason="needs lm-eval")
    groups = [[value for value, name in zip(VALUES, STRATA, strict=True) if name == wanted] for wanted in SUBJECTS]
    errors = [0.0 if len(group) == 1 else metrics.mean_stderr(group) for group in groups]
    expected = metrics.pooled_sample_stderr(errors, [len(group) for group in groups])
    assert stratified_rate(VALUES, STRATA).stderr == pytest.approx(expected, rel=1e-12)


def test_the_error_leaves_out_what_lies_between_subjects() -> None:
    found = stratified_rate(VALUES, STRATA)
    within = [np.var([v for v, s in zip(VALUES, STRATA, strict=True) if s == name]) for name in SUBJECTS]
    sizes = [count for count, _ in SUBJECTS.values()]
    assert found.stderr == pytest.approx(np.sqrt(np.dot(sizes, within) / (203 - 4) / 203))
    assert found.stderr is not None and found.stderr < stats.sem(VALUES)
    assert stratified_rate(VALUES, ["one"] * 203).stderr == pytest.approx(stats.sem(VALUES))


def test_repeated_items_are_one_cluster() -> None:
    once = stratified_rate(VALUES, STRATA, range(203))
    assert once.stderr_clustered is None
    twice = stratified_rate(VALUES * 2, STRATA * 2, [*range(203)] * 2)
    assert twice.rate == once.rate
    assert twice.stderr is not None and once.stderr is not None and twice.stderr_clustered is not None
    assert twice.stderr == pytest.approx(once.stderr / 2**0.5, rel=0.01)
    assert twice.stderr_clustered == pytest.approx(once.stderr, rel=0.01), "asking twice tells nothing new"
    assert (twice.ci95_low, twice.ci95_high) == pytest.approx((once.ci95_low, once.ci95_high), abs=0.002)


def test_one_subject_has_wilsons_interval() -> None:
    found = stratified_rate([1.0] * 30 + [0.0] * 70, ["one"] * 100)
    expected = stats.binomtest(30, 100).proportion_ci(method="wilson")
    assert (found.ci95_low, found.ci95_high) == pytest.approx((expected.low, expected.high), abs=0.002)


@pytest.mark.parametrize("values", [[1.0] * 40, [1.0] * 20 + [0.0] * 20])
def test_subjects_without_spread_are_not_known_to_be_perfect(values: list[float]) -> None:
    found = stratified_rate(values, ["a"] * 20 + ["b"] * 20)
    expected = stats.binomtest(int(sum(values)), 40).proportion_ci(method="wilson")
    assert found.stderr == 0
    assert (found.ci95_low, found.ci95_high) == pytest.approx((expected.low, expected.high))


def test_too_few_items_have_no_error() -> None:
    assert stratified_rate([], [])[:5] == (None, None, None, None, None)
    assert stratified_rate([1.0], ["a"]).stderr is None
    assert stratified_rate([1.0, 0.0], ["a", "b"]).stderr is None, "no subject has two items"


@pytest.mark.parametrize("rates", [(0.98, 1.0), (0.3, 0.6)])
def test_the_interval_covers(rates: tuple[float, float]) -> None:
    draw, strata = np.random.default_rng(3), ["a"] * 60 + ["b"] * 40
    inside = 0
    for _ in range(1000):
        values = [*(draw.random(60) < rates[0]), *(draw.random(40) < rates[1])]
        found = stratified_rate(values, strata)
        assert found.ci95_low is not None and found.ci95_high is not None
        inside += found.ci95_low <= 0.6 * rates[0] + 0.4 * rates[1] <= found.ci95_high
    assert inside >= 930
