"""Means over rows and training seeds at once, where every seed has answered every row.

A value of row r in the run of seed s is a mean + what the row adds + what the seed adds + a rest of its own: both the
rows and the seeds are a sample, and the two are crossed, as cases and readers are in diagnostic studies with several of
each. The variance of the mean over R rows and S seeds is (MS_rows + MS_seeds - MS_rest) / (R S), with the mean squares
of the two-way analysis of variance (Dorfman, Berbaum and Metz 1992), and its degrees of freedom are Satterthwaite's
(1946), as Hillis (2007) recommends them there. The rows' part is taken from `intervals.wider_error`, so that it also
allows for rows unlike any seen and for clusters; the other parts are as above. What a seed does to a whole cluster is
then in both parts, which makes intervals wider, never narrower.
"""

from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import gammaln, stdtr, stdtrit

from reprotune.statistics.intervals import CONFIDENCE, Estimate, clustered_stderr, wider_error
from reprotune.statistics.paired import PairedTest, paired_test, verdict

POWER = 0.8
Values = np.ndarray
"""Of shape (seeds, rows)."""


class SeedShare(NamedTuple):
    """Where the uncertainty of a mean, or of a difference of two, comes from."""

    before: int
    """Seeds of the first side; 1 for a single run."""
    after: int
    stderr: float
    """Of both together."""
    stderr_rows: float
    """From the rows, and from what differs between seeds on single rows."""
    stderr_seeds: float
    """From what differs between seeds on all rows alike; 0 where nothing more is seen than single rows explain."""
    degrees: float
    """Satterthwaite's degrees of freedom of `stderr`."""


class CrossedMean(NamedTuple):
    """A mean over rows and seeds."""

    mean: float
    ci95_low: float
    """Of the interval, wider than 95 % where that was asked for."""
    ci95_high: float
    share: SeedShare


class _Error(NamedTuple):
    """A variance with the numbers that a t-interval needs."""

    middle: float
    variance: float
    degrees: float
    rows: float
    """The part of the variance that rows bring."""
    seeds: float


def crossed_mean(
    values: Values,
    bounds: tuple[float, float] | None,
    clusters: Sequence[Hashable | None] | None = None,
    confidence: float = CONFIDENCE,
) -> CrossedMean | None:
    """Return the mean of (seeds, rows) values with an interval for other seeds and other rows, by default of 95 %.

    Null for fewer than two seeds, of whose spread nothing is known, and for fewer than two rows. `bounds` and
    `clusters` are those of `intervals.mean_interval`.
    """
    seeds, rows = values.shape
    if seeds < 2 or rows < 2:
        return None
    error = _error(values.mean(axis=0), [values], bounds, clusters)
    low, high = _interval(error, bounds, confidence)
    return CrossedMean(float(values.mean()), low, high, _share(error, seeds, seeds))


def repeated_test(
    before: Values, after: Values, span: float | None, clusters: Sequence[Hashable | None] | None = None
) -> tuple[PairedTest, SeedShare]:
    """Compare (seeds, rows) values of the same rows before and after; higher is better.

    The seeds of the two sides are taken for independent, even where they are the same numbers. A side with a single
    run borrows the spread over seeds of the other; raises ValueError where neither has two. `span` is the largest
    difference that a row can have; `clusters` names each row's cluster. p is of a t-test with the standard error and
    degrees of freedom of this module.
    """
    if max(len(before), len(after)) < 2:
        raise ValueError("a side needs at least two seeds")
    differences = after.mean(axis=0) - before.mean(axis=0)
    bounds = None if span is None else (-span, span)
    if len(differences) < 2:
        pairs = list(zip(before.mean(axis=0).tolist(), after.mean(axis=0).tolist(), strict=True))
        return paired_test(pairs, 0, span), SeedShare(len(before), len(after), 0.0, 0.0, 0.0, 0.0)
    n = len(differences)
    error = _error(differences, [before, after], bounds, clusters)
    low, high = _interval(error, bounds)
    stderr = float(np.std(differences, ddof=1) / np.sqrt(n))
    clustered, _ = clustered_stderr(differences.tolist(), clusters)
    difference = float(differences.mean())
    p_value = _p_value(difference, error)
    estimate = Estimate(difference, stderr, clustered, low, high, n)
    test = PairedTest(
        n=n,
        before=float(before.mean()),
        after=float(after.mean()),
        difference=difference,
        stderr=stderr,
        stderr_clustered=clustered,
        ci95_low=low,
        ci95_high=high,
        p_value=p_value,
        smallest_detectable=_detectable(error),
        verdict=verdict(differences.tolist(), p_value, estimate),
    )
    return test, _share(error, len(before), len(after))


def _error(
    by_row: np.ndarray,
    sides: Sequence[Values],
    bounds: tuple[float, float] | None,
    clusters: Sequence[Hashable | None] | None,
) -> _Error:
    """Return the error of the mean of `by_row`, which sums up one side, or is the difference of two."""
    middle, stderr, independent = wider_error(by_row.tolist(), bounds, clusters)
    from_rows = stderr**2
    parts = [(from_rows, independent - 1.0)]
    from_seeds = 0.0
    repeated = [side for side in sides if len(side) > 1]
    for side in repeated:
        seeds, rows = side.shape
        # a single run on the other side has as much of a share in the seeds' variance as it would have here
        times = 1 / seeds + sum(1.0 for other in sides if len(other) < 2)
        spread = float(np.var(side.mean(axis=1), ddof=1))
        parts.append((times * spread, seeds - 1.0))
        from_seeds += times * (spread - _rest(side) / rows)
    variance = max(from_rows, from_rows + from_seeds)
    return _Error(middle, variance, _satterthwaite(variance, parts), from_rows, max(0.0, from_seeds))


def _rest(values: Values) -> float:
    """Return the mean square of what neither the row nor the seed explains."""
    seeds, rows = values.shape
    rest = values - values.mean(axis=0) - values.mean(axis=1, keepdims=True) + values.mean()
    return float((rest**2).sum() / ((seeds - 1) * (rows - 1)))


def _satterthwaite(variance: float, parts: Sequence[tuple[float, float]]) -> float:
    """Return the degrees of freedom of a sum of variances, each given with its own."""
    below = sum(part**2 / degrees for part, degrees in parts)
    return variance**2 / below if below else parts[0][1]


def _interval(error: _Error, bounds: tuple[float, float] | None, confidence: float = CONFIDENCE) -> tuple[float, float]:
    half = _quantile(error, (1 + confidence) / 2) * float(np.sqrt(error.variance))
    low, high = error.middle - half, error.middle + half
    return (low, high) if bounds is None else (max(low, bounds[0]), min(high, bounds[1]))


def _detectable(error: _Error) -> float:
    """Return the true difference that the t-test tells from 0 with `POWER`.

    The root of an estimated variance is too small on average, which matters for few degrees of freedom: it is divided
    by the mean of the chi distribution (Holtzman 1950).
    """
    half = error.degrees / 2
    shrinkage = float(np.exp(gammaln(half + 0.5) - gammaln(half) - 0.5 * np.log(half)))
    quantiles = _quantile(error, (1 + CONFIDENCE) / 2) + _quantile(error, POWER)
    return quantiles * float(np.sqrt(error.variance)) / shrinkage


def _quantile(error: _Error, probability: float) -> float:
    return float(stdtrit(error.degrees, probability))


def _p_value(difference: float, error: _Error) -> float:
    if not error.variance:
        return 1.0 if not difference else 0.0
    return 2 * float(stdtr(error.degrees, -abs(difference) / np.sqrt(error.variance)))


def _share(error: _Error, before: int, after: int) -> SeedShare:
    total, rows, seeds = (float(np.sqrt(part)) for part in (error.variance, error.rows, error.seeds))
    return SeedShare(before, after, total, rows, seeds, error.degrees)
