"""Paired tests against scipy, and their verdicts."""

import numpy as np
import pytest
from scipy import stats

from reprotune.statistics.paired import holm, paired_test, sign_flip_p

VALUES = list(np.random.default_rng(7).normal(5, 40, size=110))


def test_draws_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = sign_flip_p(VALUES, seed=1)
    monkeypatch.setattr("reprotune.statistics.paired.CHUNK", 1000)
    assert sign_flip_p(VALUES, seed=1) == pytest.approx(whole, abs=0.02)


@pytest.mark.parametrize("shift", [0.0, 5.0, 20.0])
def test_sign_flip_agrees_with_scipy(shift: float) -> None:
    values = np.random.default_rng(3).normal(shift, 40, size=60)
    expected = stats.permutation_test((values,), np.mean, permutation_type="samples", n_resamples=10_000, rng=4).pvalue
    assert sign_flip_p(list(values), seed=5) == pytest.approx(expected, abs=0.03)


def test_sign_flip_of_no_difference_is_one() -> None:
    assert sign_flip_p([0.0] * 8, seed=1) == 1
    assert sign_flip_p([0.1] * 3, seed=1) == pytest.approx(0.25, abs=0.02)  # two of the eight labellings
    assert sign_flip_p([], seed=1) is None


def test_p_agrees_with_scipy() -> None:
    draw = np.random.default_rng(5)
    pairs = [(float(one), float(other)) for one, other in draw.normal((50, 54), 10, size=(30, 2))]
    expected = stats.permutation_test(
        tuple(np.transpose(pairs)), lambda x, y, axis: np.mean(y - x, axis=axis), permutation_type="samples", rng=1
    )
    assert paired_test(pairs, seed=1).p_value == pytest.approx(expected.pvalue, abs=0.01)


@pytest.mark.parametrize(
    ("differences", "verdict"),
    [
        ([], "cannot be said"),
        ([0.0] * 9, "unchanged"),
        ([3.0], "too few rows"),
        ([80.0] * 5, "too few rows"),
        ([80.0] * 5 + [0.0] * 100, "too few rows"),
        ([80.0] * 6, "better"),
        ([5.0, -5.0] * 10, "within noise"),
        ([4.0, 6.0] * 10, "better"),
        ([-4.0, -6.0] * 10, "worse"),
    ],
)
def test_verdicts(differences: list[float], verdict: str) -> None:
    assert paired_test([(50.0, 50.0 + difference) for difference in differences], seed=1).verdict == verdict


def test_a_single_pair_has_no_interval() -> None:
    found = paired_test([(1.0, 3.0)], seed=1)
    assert (found.before, found.after, found.difference) == (1, 3, 2)
    assert (found.ci95_low, found.ci95_high, found.smallest_detectable) == (None, None, None)


def test_the_wider_interval_decides() -> None:
    kinds = [row // 20 for row in range(200)]
    shift = [9.0, -6.0, 8.0, -5.0, 9.0, 7.0, -4.0, 6.0, -5.0, 3.0]
    pairs = [(50.0, 50.0 + shift[kind]) for kind in kinds]
    assert paired_test(pairs, seed=1, span=100).verdict == "better"
    clustered = paired_test(pairs, seed=1, span=100, clusters=kinds)
    assert clustered.verdict == "within noise"
    assert clustered.stderr_clustered is not None and clustered.stderr is not None
    assert clustered.stderr_clustered > 3 * clustered.stderr


def test_few_rows_that_all_fail_are_no_certain_loss() -> None:
    found = paired_test([(100.0, 0.0)] * 4, seed=1, span=100)
    assert found.verdict == "too few rows"
    assert found.ci95_low == -100
    assert found.ci95_high is not None and found.ci95_high > 0


def test_holm() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []
