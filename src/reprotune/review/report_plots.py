"""Geometry of the report's charts: places in percent of the plot area, so that a chart fits any width.

The template draws curves as inline SVG stretched over the area, and ticks, dots and bars as HTML on top, so text keeps
its size on a narrow screen.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

CURVE_POINTS = 400
SVG_SIZE = 1000


@dataclass(frozen=True)
class Tick:
    """A labelled place on an axis, in percent from its start."""

    place: float
    label: str


@dataclass(frozen=True)
class Dot:
    """A measured point, in percent from the left and from the bottom."""

    left: float
    bottom: float
    title: str


@dataclass(frozen=True)
class LossPlot:
    """Training and validation loss over steps; the curves are SVG point lists in a square of `SVG_SIZE`."""

    train_curve: str
    validation_curve: str
    dots: list[Dot]
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    steps_per_point: int
    """The training curve's points are means over this many steps."""


@dataclass(frozen=True)
class Bars:
    """One range of a histogram: the counts of both models and their heights in percent of the tallest bar."""

    label: str
    base: int
    finetuned: int
    base_height: float
    finetuned_height: float


def loss_plot(rows: Sequence[dict[str, str]], initial_loss: float) -> LossPlot:
    """Lay out the loss curves from the rows of loss.csv and the validation loss before the first step."""
    train = [(int(row["step"]), float(row["train_loss"])) for row in rows if row["train_loss"]]
    validation = [(0, initial_loss)]
    validation += [(int(row["step"]), float(row["validation_loss"])) for row in rows if row["validation_loss"]]
    group = max(1, math.ceil(len(train) / CURVE_POINTS))
    train_means = [_mean_point(train[start : start + group]) for start in range(0, len(train), group)]

    losses = [loss for _, loss in train_means + validation]
    y_values = nice_ticks(min(losses), max(losses))
    x_end = max(1, *(step for step, _ in train + validation))
    low, high = y_values[0], y_values[-1]

    def place(step: float, loss: float) -> tuple[float, float]:
        return 100 * step / x_end, 100 * (loss - low) / (high - low)

    def curve(points: Sequence[tuple[float, float]]) -> str:
        places = (place(*point) for point in points)
        return " ".join(f"{x * SVG_SIZE / 100:.1f},{SVG_SIZE - y * SVG_SIZE / 100:.1f}" for x, y in places)

    return LossPlot(
        train_curve=curve(train_means),
        validation_curve=curve(validation),
        dots=[Dot(*place(step, loss), f"step {step}: validation loss {loss:.4f}") for step, loss in validation],
        x_ticks=[Tick(100 * step / x_end, f"{step:,.0f}") for step in nice_ticks(0, x_end) if step <= x_end],
        y_ticks=[Tick(place(0, loss)[1], f"{loss:g}") for loss in y_values],
        steps_per_point=group,
    )


def score_bars(base: Sequence[int], finetuned: Sequence[int]) -> list[Bars]:
    """Lay out two histograms of scores (0..100 in equal ranges) side by side."""
    tallest = max(1, *base, *finetuned)
    width = 100 // len(base)
    return [
        Bars(f"{index * width}–{(index + 1) * width}", one, two, 100 * one / tallest, 100 * two / tallest)
        for index, (one, two) in enumerate(zip(base, finetuned, strict=True))
    ]


def nice_ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Return about `count` round values (steps of 1, 2 or 5 times a power of ten) that enclose low..high.

    The steps are wide enough that six digits tell the values apart.
    """
    span = max(high - low, 1e-3 * max(abs(low), abs(high)), 1e-6)
    rough = span / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough)
    first, last = math.floor(low / step), math.ceil(high / step)
    if first == last:
        last += 1
    return [round(index * step, 12) for index in range(first, last + 1)]


def _mean_point(points: Sequence[tuple[int, float]]) -> tuple[float, float]:
    return math.fsum(x for x, _ in points) / len(points), math.fsum(y for _, y in points) / len(points)
