"""Amounts by size, such as loss by byte, of the same documents before and after."""

from collections.abc import Hashable, Sequence

import numpy as np
from scipy.special import ndtri

from reprotune.statistics.intervals import Estimate, clustered_stderr, t_quantile
from reprotune.statistics.paired import PairedTest, sign_flip_p, verdict

POWER = 0.8


def ratio_estimate(amounts: Sequence[float], sizes: Sequence[float], clusters: Sequence[Hashable]) -> Estimate:
    """Return the sum of the amounts by the sum of the sizes, with its t-interval over documents.

    Long documents count by their length. The error is that of a ratio of two means by the delta method (Cochran 1977,
    6.4): the standard error of the residuals amount - ratio * size, by the mean size; with the larger of the plain
    and, as in `clustered_stderr`, the clustered one.
    """
    n = len(amounts)
    if not n:
        return Estimate(None, None, None, None, None, 0)
    weights = np.asarray(sizes, dtype=float)
    ratio = float(np.sum(amounts) / weights.sum())
    if n < 2:
        return Estimate(ratio, None, None, None, None, n)
    left = list((np.asarray(amounts, dtype=float) - ratio * weights) / weights.mean())
    stderr = float(np.std(left, ddof=1) / np.sqrt(n))
    grouped, groups = clustered_stderr(left, clusters)
    half = max(t_quantile(n) * stderr, 0.0 if grouped is None else t_quantile(groups) * grouped)
    return Estimate(ratio, stderr, grouped if groups < n else None, ratio - half, ratio + half, n)


def ratio_values(amounts: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Return values (seeds, documents) whose mean is sum(amounts) / sum(sizes) and whose spread is that ratio's.

    `amounts` (seeds, documents), `sizes` (documents): by the delta method, as in `ratio_estimate`.
    """
    ratio = amounts.sum() / (sizes.sum() * len(amounts))
    found: np.ndarray = (amounts - ratio * sizes) / sizes.mean() + ratio
    return found


def paired_ratio(
    pairs: Sequence[tuple[float, float]], sizes: Sequence[float], clusters: Sequence[Hashable], seed: int
) -> PairedTest:
    """Compare the (before, after) amounts of the same documents by their sizes; less is better.

    The difference is one ratio too, of the sum of the changes, so what is hard in a document cancels. p is from
    flipping the signs of the documents' changes.
    """
    before, after = (ratio_estimate([pair[side] for pair in pairs], sizes, clusters).score for side in (0, 1))
    changes = [new - old for old, new in pairs]
    estimate = ratio_estimate(changes, sizes, clusters)
    p_value = sign_flip_p(changes, seed)
    half = None if estimate.ci95_high is None or estimate.score is None else estimate.ci95_high - estimate.score
    return PairedTest(
        n=len(pairs),
        before=before,
        after=after,
        difference=estimate.score,
        stderr=estimate.stderr,
        stderr_clustered=estimate.stderr_clustered,
        ci95_low=estimate.ci95_low,
        ci95_high=estimate.ci95_high,
        p_value=p_value,
        smallest_detectable=None if half is None else half * (1 + float(ndtri(POWER)) / t_quantile(len(pairs))),
        verdict=verdict(changes, p_value, estimate, higher_is_better=False),
    )
