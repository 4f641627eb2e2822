"""Loss by byte: the ratio of two sums, its error against the bootstrap, and paired differences."""

import numpy as np
import pytest
from scipy import stats

from reprotune.statistics.ratios import paired_ratio, ratio_estimate, ratio_values

DRAW = np.random.default_rng(7)
SIZES = list(DRAW.integers(50, 900, size=120).astype(float))
BEFORE = [float(value) for value in SIZES * DRAW.normal(1.0, 0.15, size=120)]
AFTER = [float(old + change) for old, change in zip(BEFORE, SIZES * DRAW.normal(0.02, 0.03, size=120), strict=True)]
NAMES = [str(place) for place in range(120)]


def test_long_documents_count_by_their_length() -> None:
    assert ratio_estimate([1.0, 9.0], [1.0, 3.0], ["a", "b"]).score == 2.5


def test_values_have_the_ratio_s_mean_and_error() -> None:
    expected = ratio_estimate(BEFORE, SIZES, NAMES)
    values = ratio_values(np.array([BEFORE, BEFORE]), np.array(SIZES))
    assert values.mean() == pytest.approx(expected.score)
    assert np.std(values[0], ddof=1) / len(SIZES) ** 0.5 == pytest.approx(expected.stderr)


def test_the_error_is_that_of_the_bootstrap() -> None:
    found = ratio_estimate(BEFORE, SIZES, NAMES)
    data = (np.array(BEFORE), np.array(SIZES))
    drawn = stats.bootstrap(
        data, lambda x, y, axis: x.sum(axis) / y.sum(axis), paired=True, rng=2, n_resamples=4000, vectorized=True
    )
    assert found.stderr == pytest.approx(drawn.standard_error, rel=0.08)
    assert found.ci95_low == pytest.approx(drawn.confidence_interval.low, abs=0.01)
    assert found.stderr_clustered is None


def test_repeated_documents_are_one_cluster() -> None:
    once, twice = ratio_estimate(BEFORE, SIZES, NAMES), ratio_estimate(BEFORE * 2, SIZES * 2, NAMES * 2)
    assert twice.stderr_clustered == pytest.approx(once.stderr, rel=0.02)
    assert twice.ci95_low == pytest.approx(once.ci95_low, rel=0.01)


def test_what_is_hard_in_a_document_cancels() -> None:
    pairs = list(zip(BEFORE, AFTER, strict=True))
    found = paired_ratio(pairs, SIZES, NAMES, seed=1)
    assert found.before == pytest.approx(sum(BEFORE) / sum(SIZES))
    assert found.difference == pytest.approx((sum(AFTER) - sum(BEFORE)) / sum(SIZES))
    alone = ratio_estimate(BEFORE, SIZES, NAMES)
    assert found.stderr is not None and alone.stderr is not None and found.stderr < alone.stderr / 2
    changes = [new - old for old, new in pairs]
    expected = stats.permutation_test((changes,), np.sum, permutation_type="samples", n_resamples=10_000, rng=4)
    assert found.p_value == pytest.approx(expected.pvalue, abs=0.01)
    assert found.smallest_detectable == pytest.approx(2.8 * found.stderr, rel=0.02)


@pytest.mark.parametrize(
    ("change", "verdict"), [(0.0, "unchanged"), (0.5, "worse"), (-0.5, "better"), (None, "cannot be said")]
)
def test_less_is_better(change: float | None, verdict: str) -> None:
    pairs = [] if change is None else [(old, old + change * (1 + place % 3)) for place, old in enumerate(BEFORE)]
    assert paired_ratio(pairs, SIZES[: len(pairs)], NAMES[: len(pairs)], seed=1).verdict == verdict


def test_one_document_has_no_interval() -> None:
    found = paired_ratio([(1.0, 2.0)], [4.0], ["a"], seed=1)
    assert (found.before, found.difference, found.ci95_low, found.verdict) == (0.25, 0.25, None, "too few rows")
