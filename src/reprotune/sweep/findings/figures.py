"""Geometry of a sweep's charts: places in percent, as in `pages.plots`."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reprotune.pages.plots import CUT_FROM, KEPT_SHARE, SVG_SIZE, Axes, Dot, Tick
from reprotune.params.values import spelled
from reprotune.sweep.findings.effects import Effect
from reprotune.sweep.space import Dimension


@dataclass(frozen=True)
class Line:
    """A trial's line."""

    number: int
    points: str
    """Of an SVG polyline, in a square of `SVG_SIZE`."""
    kind: str
    """By which it is coloured: `winner`, `finalist`, `ended` or `stopped`."""
    title: str


@dataclass(frozen=True)
class Axis:
    """An upright axis among parallel ones."""

    name: str
    left: float
    """In percent."""
    ticks: list[Tick]


@dataclass(frozen=True)
class Parallel:
    """Parallel coordinates: an axis per param, the last one for the loss."""

    axes: list[Axis]
    lines: list[Line]
    cut: int
    """Lines that end above the axis of the loss."""


@dataclass(frozen=True)
class Curves:
    """The loss of every trial at its rungs."""

    lines: list[Line]
    dots: list[Dot]
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    cut: int
    """Points above the plot."""


@dataclass(frozen=True)
class Drawn:
    """A trial as the charts need it."""

    number: int
    values: Mapping[str, Any]
    losses: Mapping[float, float]
    """By rung; without any, it is not drawn."""
    kind: str


def parallel(dimensions: Sequence[Dimension], trials: Sequence[Drawn], first: float) -> Parallel:
    """Lay out the trials that have a loss at the rung `first`; the better ones are drawn last, on top."""
    shown = sorted((trial for trial in trials if first in trial.losses), key=lambda trial: -trial.losses[first])
    scale = Axes(1, _usual([trial.losses[first] for trial in shown]))
    step = 100 / max(len(dimensions), 1)
    axes = [Axis(one.name, index * step, _ticks(one)) for index, one in enumerate(dimensions)]
    axes.append(Axis(f"loss at {first:.0%}", 100.0, scale.y_ticks))
    lines = []
    for trial in shown:
        places = [one.place(trial.values[one.key]) for one in dimensions]
        places.append(min(scale.place(0, trial.losses[first])[1] / 100, 1.0))
        points = " ".join(
            f"{axis.left * SVG_SIZE / 100:.1f},{SVG_SIZE * (1 - place):.1f}"
            for axis, place in zip(axes, places, strict=True)
        )
        lines.append(Line(trial.number, points, trial.kind, _title(trial, dimensions)))
    return Parallel(axes, lines, sum(trial.losses[first] > scale.high for trial in shown))


def curves(dimensions: Sequence[Dimension], trials: Sequence[Drawn]) -> Curves:
    """Lay out each trial's loss against the share of its steps."""
    ordered = sorted(trials, key=lambda trial: (len(trial.losses), -min(trial.losses.values(), default=math.inf)))
    losses = [loss for trial in ordered for loss in trial.losses.values()]
    axes = Axes(100, _usual(losses))
    lines, dots = [], []
    for trial in ordered:
        points = [(100 * share, min(loss, axes.high)) for share, loss in trial.losses.items()]
        title = _title(trial, dimensions)
        if len(points) > 1:
            lines.append(Line(trial.number, axes.curve(points), trial.kind, title))
        dots += [
            Dot(*axes.place(*point), f"{title}: {loss:.4f} at {share:.0%}", trial.kind)
            for point, (share, loss) in zip(points, trial.losses.items(), strict=True)
        ]
    shares = sorted({share for trial in ordered for share in trial.losses})
    ticks = [Tick(100 * share, f"{share:.0%}") for share in shares]
    return Curves(lines, dots, ticks, axes.y_ticks, sum(loss > axes.high for loss in losses))


def effect_scale(found: Sequence[Effect]) -> tuple[float, float]:
    """Return the losses at the left and right end of the bars of marginal effects."""
    ends = [end for effect in found for group in effect.groups for end in (group.ci95_low, group.ci95_high, group.loss)]
    known = [end for end in ends if end is not None]
    means = [group.loss for effect in found for group in effect.groups if group.loss is not None]
    if not means:
        return 0.0, 1.0
    low, high = min(known), max(known)
    span = max(means) - min(means) or 1.0
    return max(low, min(means) - span), min(high, max(means) + span)


def _usual(losses: Sequence[float]) -> list[float]:
    """Return the losses that an axis has to enclose: a few that are far worse may lie above it."""
    ranked = sorted(losses) or [0.0, 1.0]
    kept = ranked[: max(1, math.ceil(KEPT_SHARE * len(ranked)))]
    return kept if ranked[-1] >= CUT_FROM * kept[-1] else ranked


def _ticks(one: Dimension) -> list[Tick]:
    """Return the labels of a param's axis: every choice, or the ends and the middle of a range."""
    if one.choices:
        return [Tick(100 * one.place(choice), spelled(choice)) for choice in one.choices]
    values = [one.low, one.value(0.5), one.high]
    return [Tick(100 * one.place(value), f"{value:g}") for value in values]


def _title(trial: Drawn, dimensions: Sequence[Dimension]) -> str:
    shown = ", ".join(f"{one.name} {spelled(trial.values[one.key])}" for one in dimensions)
    return f"trial {trial.number} ({shown})"
