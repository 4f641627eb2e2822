"""How far several voters agree where not every one of them has seen everything."""

from collections import Counter
from collections.abc import Hashable, Sequence
from itertools import combinations


def krippendorff_alpha(units: Sequence[Sequence[Hashable]]) -> float | None:
    """Return Krippendorff's alpha for nominal values: 1 for full agreement, 0 for what chance gives.

    `units` holds for each thing that was judged the values it was given, in any number; with fewer than two they say
    nothing. Null where no unit has two values, or where all values are the same. The coincidence matrix of Krippendorff
    (2011, "Computing Krippendorff's Alpha-Reliability"): each pair of values within a unit of m counts 1 / (m - 1).
    """
    pairable = [Counter(unit) for unit in units if len(unit) > 1]
    totals = sum(pairable, Counter())
    n = totals.total()
    by_chance = n * n - sum(count * count for count in totals.values())
    if not by_chance:
        return None
    observed = sum(
        (unit.total() ** 2 - sum(count * count for count in unit.values())) / (unit.total() - 1) for unit in pairable
    )
    return 1 - (n - 1) * observed / by_chance


def raw_agreement(units: Sequence[Sequence[Hashable]]) -> float | None:
    """Return the share of the pairs of values within a unit that are equal, chance included; null without a pair."""
    equal = [first == second for unit in units for first, second in combinations(unit, 2)]
    return sum(equal) / len(equal) if equal else None
