"""Right and wrong answers before and after, against scipy."""

import numpy as np
import pytest
from scipy import stats

from reprotune.statistics.matched import matched_test, mcnemar_p
from reprotune.statistics.paired import paired_test

PAIRS = [(bool(one), bool(other)) for one, other in np.random.default_rng(5).random((200, 2)) < (0.5, 0.65)]


@pytest.mark.parametrize(("gained", "lost"), [(0, 0), (5, 0), (0, 6), (3, 3), (12, 25), (300, 260)])
def test_p_is_that_of_the_binomial_test(gained: int, lost: int) -> None:
    expected = stats.binomtest(gained, gained + lost).pvalue if gained + lost else 1.0
    assert mcnemar_p(gained, lost) == pytest.approx(expected, rel=1e-9)


def test_counts_what_differs_in_percent() -> None:
    found = matched_test(PAIRS, range(200))
    assert found.gained == sum(not before and after for before, after in PAIRS)
    assert found.lost == sum(before and not after for before, after in PAIRS)
    assert found.difference == pytest.approx((found.gained - found.lost) / 2)
    assert found.p_value == mcnemar_p(found.gained, found.lost)
    assert found.stderr_clustered is None, "nothing is repeated"


def test_is_the_permutation_test_with_every_draw_counted() -> None:
    sampled = paired_test([(100.0 * before, 100.0 * after) for before, after in PAIRS], seed=1, span=100.0)
    found = matched_test(PAIRS, range(200))
    assert found.p_value == pytest.approx(sampled.p_value, abs=0.01)
    assert (found.ci95_low, found.ci95_high) == pytest.approx((sampled.ci95_low, sampled.ci95_high), rel=0.01)
    assert found.verdict == sampled.verdict


def test_repeated_items_are_asked_once() -> None:
    once = matched_test(PAIRS, range(200))
    often = matched_test(PAIRS * 4, [*range(200)] * 4)
    assert often.p_value == once.p_value
    assert often.gained == 4 * once.gained
    assert often.ci95_low == pytest.approx(once.ci95_low, rel=0.05)
    assert matched_test(PAIRS * 4, range(800)).p_value < once.p_value  # type: ignore[operator]  # both are numbers


@pytest.mark.parametrize(
    ("pairs", "verdict"),
    [
        ([], "cannot be said"),
        ([(True, True)] * 9, "unchanged"),
        ([(False, True)] * 5 + [(True, True)] * 20, "too few rows"),
        ([(False, True)] * 6, "better"),
        ([(True, False)] * 9 + [(True, True)] * 20, "worse"),
        ([(True, False), (False, True)] * 9, "within noise"),
    ],
)
def test_verdicts(pairs: list[tuple[bool, bool]], verdict: str) -> None:
    assert matched_test(pairs, range(len(pairs))).verdict == verdict
