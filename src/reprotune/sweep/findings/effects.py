"""What each param of a space has to do with the loss, at the first rung, which all trials have reached."""

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from reprotune.params.values import spelled
from reprotune.statistics.grouped import group_effect
from reprotune.statistics.intervals import mean_interval
from reprotune.statistics.paired import holm
from reprotune.sweep.space import Dimension

MOST_PARTS = 4
"""Parts of a range whose trials are taken together."""
FEWEST_IN_PART = 4
"""Trials that a part should have on average."""
LEAST_LOSS = 1e-12
"""For the logarithm."""


class Group(NamedTuple):
    """Trials with the same choice, or with values in one part of a range."""

    label: str
    n: int
    loss: float | None
    """Geometric mean, so that one bad trial does not hide the others; null without trials."""
    ci95_low: float | None
    """Of the geometric mean over all such trials, the other params drawn from the space; null for fewer than two."""
    ci95_high: float | None


class Effect(NamedTuple):
    """One param's share in the spread of the losses."""

    key: str
    share: float | None
    """Of the variance of the losses' ranks, less what chance would explain; null where the trials are too few."""
    p_value: float | None
    """Adjusted for the number of params (Holm)."""
    groups: list[Group]


def effects(
    dimensions: Sequence[Dimension], trials: Sequence[tuple[Mapping[str, Any], float]], seed: int
) -> list[Effect]:
    """Return the effect of every param on the losses of (values, loss), the largest share first."""
    found = []
    for one in dimensions:
        starts = _starts(one, len(trials))
        members = [_part(one, values[one.key], starts) for values, _ in trials]
        effect = group_effect([loss for _, loss in trials], members, seed)
        logs: list[list[float]] = [[] for _ in starts]
        for part, (_, loss) in zip(members, trials, strict=True):
            logs[part].append(math.log(max(loss, LEAST_LOSS)))
        groups = [_group(label, some) for label, some in zip(_labels(one, starts), logs, strict=True)]
        share, p_value = effect if effect is not None else (None, None)
        found.append(Effect(one.key, share, p_value, groups))
    tested = [effect for effect in found if effect.p_value is not None]
    adjusted = iter(holm([effect.p_value or 0.0 for effect in tested]))
    found = [effect._replace(p_value=next(adjusted)) if effect in tested else effect for effect in found]
    return sorted(found, key=lambda effect: -(effect.share or 0.0))


def _starts(one: Dimension, trials: int) -> list[Any]:
    """Return the first value of each part of a dimension, in order; of choices, each is a part."""
    if one.choices:
        return [*range(len(one.choices))]
    count = min(MOST_PARTS, max(2, trials // FEWEST_IN_PART))
    if one.size <= count:
        return [*range(int(one.low), int(one.high) + 1)]
    return sorted({one.value(part / count) for part in range(count)})


def _labels(one: Dimension, starts: Sequence[Any]) -> list[str]:
    if one.choices:
        return [spelled(choice) for choice in one.choices]
    if one.whole:
        lasts = [start - 1 for start in starts[1:]] + [int(one.high)]
        return [str(low) if low == last else f"{low}–{last}" for low, last in zip(starts, lasts, strict=True)]
    return [f"{low:.3g}–{high:.3g}" for low, high in zip(starts, [*starts[1:], one.high], strict=True)]


def _part(one: Dimension, value: Any, starts: Sequence[Any]) -> int:
    """Return the part of a dimension in which a value lies."""
    place = one.choice(value) if one.choices else value
    return max(0, bisect_right(starts, place) - 1)


def _group(label: str, logs: Sequence[float]) -> Group:
    mean = mean_interval(logs)
    ends = [None if value is None else math.exp(value) for value in (mean.score, mean.ci95_low, mean.ci95_high)]
    return Group(label, mean.n, *ends)
