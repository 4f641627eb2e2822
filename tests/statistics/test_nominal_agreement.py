"""Krippendorff's alpha against the package of that name, and by hand."""

import random

import krippendorff
import numpy as np
import pytest

from reprotune.statistics.nominal_agreement import krippendorff_alpha, raw_agreement


@pytest.mark.parametrize("seed", range(20))
def test_is_what_the_package_computes(seed: int) -> None:
    draw = random.Random(seed)
    table = [[draw.choice([1.0, 2.0, 3.0, np.nan]) for _ in range(25)] for _ in range(draw.randint(2, 5))]
    units = [[row[unit] for row in table if not np.isnan(row[unit])] for unit in range(25)]
    expected = krippendorff.alpha(reliability_data=table, level_of_measurement="nominal")
    assert krippendorff_alpha(units) == pytest.approx(expected, abs=1e-12)


def test_extremes() -> None:
    assert krippendorff_alpha([["a", "a"], ["b", "b"]]) == 1
    assert krippendorff_alpha([["a", "b"], ["b", "a"]]) == pytest.approx(-0.5)
    for nothing in ([], [["a"], ["b"]], [["a", "a"], ["a", "a", "a"]]):
        assert krippendorff_alpha(nothing) is None


def test_raw_agreement_counts_every_two_voters() -> None:
    assert raw_agreement([["a", "a", "b"], ["b", "b"], ["a"]]) == 0.5
    assert raw_agreement([["a"], []]) is None
