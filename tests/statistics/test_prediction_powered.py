"""Votes joined with a judge: the figures of ppi-python, and coverage where the truth is known."""

import numpy as np
import pytest

from reprotune.statistics.prediction_powered import prediction_powered

VOTES = [1, 0, 1, 1, 0.5, 0, 1, 1, 0, 1, 1, 0.5]
JUDGED = [1, 0, 1, 0, 0.5, 0, 1, 1, 1, 1, 1, 1.0]
OTHERS = [1, 0, 0, 1, 1, 0.5, 0, 1, 1, 1, 0, 1, 1, 1, 0, 0.5, 1, 1, 0, 1.0]


def test_the_estimate_is_that_of_ppi_python() -> None:
    """Version 0.2.3 gives 0.65048304, and 0.42837 to 0.87260 with normal quantiles and variances divided by n.

    Its dependencies (numba, scikit-learn, statsmodels) are too many for a test of a mean.
    """
    found = prediction_powered(VOTES, JUDGED, OTHERS)
    assert found is not None
    assert found.estimate == pytest.approx(0.65048304, abs=1e-8)
    left = np.array(VOTES) - found.weight * np.array(JUDGED)
    half = 1.959964 * np.sqrt(left.var() / 12 + found.weight**2 * np.var(OTHERS) / 20)
    assert (found.estimate - half, found.estimate + half) == pytest.approx((0.42836823, 0.87259785), abs=1e-6)
    assert found.low < 0.42836823 and found.high > 0.87259785, "few votes, so Student's quantile"


def test_a_judge_without_variation_or_without_other_rows_changes_nothing() -> None:
    for judged, others in ((JUDGED, []), ([1.0] * 12, [1.0] * 40)):
        found = prediction_powered(VOTES, judged, others)
        assert found is not None
        assert (found.weight, found.estimate) == (0, pytest.approx(np.mean(VOTES)))
        assert (found.low, found.high) == pytest.approx((found.votes_low, found.votes_high))
    assert prediction_powered([1.0], [1.0], OTHERS) is None
    with pytest.raises(ValueError, match="12 votes and 11 verdicts"):
        prediction_powered(VOTES, JUDGED[1:], OTHERS)


@pytest.mark.parametrize(
    ("votes", "rows", "accuracy", "narrower"),
    [(50, 325, 0.70, 0.97), (50, 325, 0.85, 0.88), (100, 1000, 0.85, 0.87), (50, 1000, 0.95, 0.70)],
)
def test_the_interval_covers_where_that_of_the_judge_alone_does_not(
    votes: int, rows: int, accuracy: float, narrower: float
) -> None:
    """A judge that is wrong in favour of the second model more often than of the first.

    Coverage is lowest, 92 %, where 50 votes see only two or three of the judge's errors.
    """
    generator = np.random.default_rng(17)
    truth, runs, covered, ratios, judge_covered = 0.6, 1500, [], [], []
    wrong = 1 - accuracy
    for _ in range(runs):
        said = (generator.random(rows) < truth).astype(float)
        flipped = generator.random(rows) < np.where(said == 1, 0.5 * wrong, 1.75 * wrong)
        judge = np.where(flipped, 1 - said, said)
        found = prediction_powered(said[:votes], judge[:votes], judge[votes:])
        assert found is not None
        covered.append(found.low <= truth <= found.high)
        ratios.append((found.high - found.low) / (found.votes_high - found.votes_low))
        half = 1.96 * np.sqrt(judge.var() / rows)
        judge_covered.append(abs(judge.mean() - truth) <= half)
    assert np.mean(covered) >= 0.915
    assert np.mean(ratios) < narrower
    assert np.mean(judge_covered) < 0.8, "of the 95 % that such an interval promises"
