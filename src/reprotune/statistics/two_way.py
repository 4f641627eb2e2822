"""Means over rows and seeds at once: both are draws, and a result should hold for others of either."""

from math import hypot
from typing import NamedTuple

import numpy as np
from scipy.special import stdtrit


class CrossedEstimate(NamedTuple):
    """A mean over rows and seeds with its uncertainty."""

    mean: float
    stderr_rows: float
    """Its standard error if only the rows were drawn."""
    stderr_seeds: float
    """Its standard error if only the seeds were drawn."""
    low: float
    high: float


def crossed_mean(values: np.ndarray, confidence: float = 0.95) -> CrossedEstimate:
    """Return the mean of `values` [rows, seeds], every row being measured with every seed, with a t-interval.

    The half-widths of the interval over rows alone and of that over seeds alone, each with its own quantile of t, are
    added as squares (Howe 1974; Graybill and Wang 1980): exact where one of the two decides, and with two seeds that
    are alike by chance not as sure of itself as one pooled variance would be. What rows and seeds share counts twice,
    which errs on the safe side. Needs two rows and two seeds.
    """
    rows, seeds = values.shape
    of_rows = float(np.std(values.mean(axis=1), ddof=1) / rows**0.5)
    of_seeds = float(np.std(values.mean(axis=0), ddof=1) / seeds**0.5)
    quantiles = [float(stdtrit(count - 1, (1 + confidence) / 2)) for count in (rows, seeds)]
    mean, half = float(values.mean()), hypot(quantiles[0] * of_rows, quantiles[1] * of_seeds)
    return CrossedEstimate(mean, of_rows, of_seeds, mean - half, mean + half)


def crossed_ratio(amounts: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Return values [rows, seeds] whose mean is sum(amounts) / sum(sizes), such as a loss per token.

    Their spread is that of the ratio, by the delta method (Cochran 1977, 6.4).
    `amounts` [rows, seeds], `sizes` [rows]: large rows count by their size.
    """
    ratio = amounts.sum() / (sizes.sum() * amounts.shape[1])
    found: np.ndarray = (amounts - ratio * sizes[:, None]) / sizes.mean() + ratio
    return found
