"""The share of the spread between groups, against scipy's Kruskal-Wallis test."""

import numpy as np
import pytest
from scipy.stats import kruskal

from reprotune.statistics.grouped import group_effect


@pytest.mark.parametrize("seed", range(4))
def test_share_and_p_agree_with_kruskal_wallis(seed: int) -> None:
    random = np.random.default_rng(seed)
    groups = random.integers(3, size=60).tolist()
    values = [round(float(random.normal()) + 0.4 * group, 1) for group in groups]  # with ties
    found = group_effect(values, groups, seed)
    h, p = kruskal(*([value for value, one in zip(values, groups, strict=True) if one == group] for group in range(3)))
    assert found is not None
    assert found.share == pytest.approx(max(0.0, (h - 2) / 57))
    assert found.p_value == pytest.approx(p, abs=0.02)


def test_groups_that_decide_everything_explain_nearly_everything() -> None:
    found = group_effect([1.0, 1.1, 1.2, 5.0, 5.1, 5.2], ["a"] * 3 + ["b"] * 3, seed=1)
    assert found is not None
    assert found.share > 0.7
    assert group_effect([2.0] * 6, ["a"] * 3 + ["b"] * 3, seed=1) == (0.0, 1.0)


def test_chance_is_called_an_effect_about_as_often_as_the_level_says() -> None:
    random = np.random.default_rng(5)
    found = [group_effect(random.normal(size=24).tolist(), [0, 1, 2, 3] * 6, seed=2) for _ in range(200)]
    assert sum(one is not None and one.p_value < 0.05 for one in found) <= 20
    assert np.median([one.share for one in found if one is not None]) < 0.05


def test_one_group_or_no_spare_value_says_nothing() -> None:
    assert group_effect([1.0, 2.0], ["a", "a"], seed=1) is None
    assert group_effect([1.0, 2.0], ["a", "b"], seed=1) is None
