"""Geometry of the charts: positions in percent of the plot area, so that a chart fits any width.

The templates draw curves as inline SVG stretched over the area, and ticks, dots and bars as HTML on top, so that text
keeps its size on a narrow screen.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

CURVE_POINTS = 400
KEPT_SHARE = 0.9
"""The losses before a model has found the format are many times those after; the axis ends above this share of them."""
CUT_FROM = 2.0
"""Unless the largest loss is at least so many times where the axis would end: then nothing is cut off."""
SVG_SIZE = 1000


@dataclass(frozen=True)
class Tick:
    """A labelled position on an axis, in percent from its start."""

    place: float
    label: str


@dataclass(frozen=True)
class Dot:
    """A measured point, in percent from the left and from the bottom."""

    left: float
    bottom: float
    title: str
    kind: str = ""


@dataclass(frozen=True)
class LossPlot:
    """Training loss as a curve (an SVG point list in a square of `SVG_SIZE`), each validation as a dot."""

    train_curve: str
    """May rise above the square, where it is to be clipped."""
    dots: list[Dot]
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    steps_per_point: int
    """The training curve's points are means over this many steps."""
    steps_above: int
    """Training losses that lie above the plot."""
    highest: float
    """The largest training loss."""


@dataclass(frozen=True)
class Bars:
    """One range of a histogram: the counts of both models and their heights in percent of the tallest bar."""

    label: str
    base: int
    finetuned: int
    base_height: float
    finetuned_height: float


@dataclass(frozen=True)
class ScatterPlot:
    """Score by length of every answer; the marks of a model are an SVG path of points in a square of `SVG_SIZE`."""

    base_marks: str
    finetuned_marks: str
    x_ticks: list[Tick]
    y_ticks: list[Tick]


class Axes:
    """The axes of a plot: x from 0 to `x_end`, y over a range that encloses `values`."""

    def __init__(self, x_end: float, values: Sequence[float]) -> None:
        self.x_end = max(1.0, x_end)
        y_values = nice_ticks(min(values), max(values))
        self.low, self.high = y_values[0], y_values[-1]
        self.x_ticks = [
            Tick(100 * x / self.x_end, f"{x:,.0f}") for x in nice_ticks(0, self.x_end) if x <= self.x_end and x % 1 == 0
        ]
        self.y_ticks = [Tick(self.place(0, y)[1], f"{y:g}") for y in y_values]

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Return percent from the left and from the bottom."""
        return 100 * x / self.x_end, 100 * (y - self.low) / (self.high - self.low)

    def curve(self, points: Sequence[tuple[float, float]]) -> str:
        """Return the points of an SVG polyline."""
        return " ".join(f"{x:.1f},{y:.1f}" for x, y in map(self._svg_place, points))

    def marks(self, points: Sequence[tuple[float, float]]) -> str:
        """Return an SVG path of single points, which round line caps turn into discs."""
        return "".join(f"M{x:.1f},{y:.1f}h0" for x, y in map(self._svg_place, points))

    def _svg_place(self, point: tuple[float, float]) -> tuple[float, float]:
        x, y = self.place(*point)
        return x * SVG_SIZE / 100, SVG_SIZE - y * SVG_SIZE / 100


@dataclass(frozen=True)
class LossSeries:
    """The losses of one run as points (step, loss); the validation before the first step is none of them."""

    train: list[tuple[float, float]]
    validation: list[tuple[float, float]]
    steps_per_point: int
    """The training points are means over this many steps."""

    @property
    def last_step(self) -> float:
        """The last step of either series."""
        return max((step for step, _ in self.train + self.validation), default=0.0)

    def shown(self) -> list[float]:
        """Return the losses that the axis has to enclose: every validation, and the training but for its start.

        The start is cut off only if the rest would be hard to read beside it.
        """
        train, validation = sorted(loss for _, loss in self.train), [loss for _, loss in self.validation]
        usual = train[: math.ceil(KEPT_SHARE * len(train))]
        cut = bool(train) and train[-1] >= CUT_FROM * max(usual + validation)
        return (usual if cut else train) + validation


def loss_series(rows: Sequence[dict[str, str]]) -> LossSeries:
    """Return the points of the rows of loss.csv."""
    train = [(int(row["step"]), float(row["train_loss"])) for row in rows if row["train_loss"]]
    validation = [(float(row["step"]), float(row["validation_loss"])) for row in rows if row["validation_loss"]]
    group = max(1, math.ceil(len(train) / CURVE_POINTS))
    means = [_mean_point(train[start : start + group]) for start in range(0, len(train), group)]
    return LossSeries(means, validation, group)


def loss_dots(axes: Axes, series: LossSeries, kind: str = "", run: str = "") -> list[Dot]:
    """Return the validations as dots of class `kind`; `run` precedes the words that a dot shows."""
    return [
        Dot(*axes.place(step, loss), f"{run}step {step:.0f}: validation loss {loss:.4f}", kind)
        for step, loss in series.validation
    ]


def loss_plot(rows: Sequence[dict[str, str]]) -> LossPlot:
    """Lay out the losses of one run, given as the rows of loss.csv."""
    series = loss_series(rows)
    axes = Axes(series.last_step, series.shown() or [0.0])
    losses = [float(row["train_loss"]) for row in rows if row["train_loss"]]
    return LossPlot(
        train_curve=axes.curve(series.train),
        dots=loss_dots(axes, series),
        x_ticks=axes.x_ticks,
        y_ticks=axes.y_ticks,
        steps_per_point=series.steps_per_point,
        steps_above=sum(loss > axes.high for loss in losses),
        highest=max(losses, default=0.0),
    )


def length_plot(base: Sequence[tuple[int, float]], finetuned: Sequence[tuple[int, float]]) -> ScatterPlot:
    """Lay out both models' answers, given as (length in tokens, score of 0..100)."""
    axes = Axes(max((length for length, _ in [*base, *finetuned]), default=1), (0, 100))
    return ScatterPlot(axes.marks(base), axes.marks(finetuned), axes.x_ticks, axes.y_ticks)


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

    The steps are wide enough for six digits to tell the values apart.
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
