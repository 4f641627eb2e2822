"""Right and wrong answers of two models, or of one before and after, to the same items."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from scipy.special import bdtr

from reprotune.statistics.intervals import mean, mean_interval, smallest_detectable_difference
from reprotune.statistics.paired import PairedTest, verdict

PERCENT = 100.0


@dataclass(frozen=True)
class MatchedTest(PairedTest):
    """The share of right answers before and after in percent, and on which items they differ."""

    gained: int
    """Items right only after."""
    lost: int
    """Items right only before."""


def matched_test(pairs: Sequence[tuple[bool, bool]], clusters: Sequence[Hashable]) -> MatchedTest:
    """Compare (before, after) of the same items; `clusters` names items that repeat one another.

    p is McNemar's, exact (a binomial test of the items that differ), which is the permutation test of
    `paired.paired_test` with every draw counted. Items of one cluster are one item in it: gained or lost as most of
    them are. The interval of the difference is that of `mean_interval`.
    """
    values = [(PERCENT * before, PERCENT * after) for before, after in pairs]
    differences = [after - before for before, after in values]
    bounds = (-PERCENT, PERCENT)
    estimate = mean_interval(differences, bounds, clusters)
    net: dict[Hashable, float] = {}
    for name, difference in zip(clusters, differences, strict=True):
        net[name] = net.get(name, 0.0) + difference
    gained = sum(difference > 0 for difference in net.values())
    lost = sum(difference < 0 for difference in net.values())
    p_value = mcnemar_p(gained, lost) if pairs else None
    return MatchedTest(
        n=len(pairs),
        before=mean([before for before, _ in values]),
        after=mean([after for _, after in values]),
        difference=estimate.score,
        stderr=estimate.stderr,
        stderr_clustered=estimate.stderr_clustered if len(net) < len(pairs) else None,
        ci95_low=estimate.ci95_low,
        ci95_high=estimate.ci95_high,
        p_value=p_value,
        smallest_detectable=smallest_detectable_difference(differences, bounds, clusters),
        verdict=verdict(differences, p_value, estimate),
        gained=sum(difference > 0 for difference in differences),
        lost=sum(difference < 0 for difference in differences),
    )


def mcnemar_p(gained: int, lost: int) -> float:
    """Return the exact two-sided p of "an item is as likely to be gained as to be lost" (McNemar 1947)."""
    return min(1.0, 2 * float(bdtr(min(gained, lost), gained + lost, 0.5)))
