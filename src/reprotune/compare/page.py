"""A comparison as one HTML page."""

from dataclasses import dataclass
from pathlib import Path

from reprotune.compare.comparison import FLIPS, Comparison
from reprotune.compare.snapshot import Snapshot
from reprotune.compare.words import TEST_WORDS, VERDICT, VERDICT_KINDS, view_of
from reprotune.pages.html import category_choices, render_page
from reprotune.pages.plots import Axes, Dot, Tick, loss_dots, loss_series

TEMPLATE = Path(__file__).with_name("compare.html.jinja")
CHANGED_RECORDS = 20
KINDS = (*FLIPS, "other answer", "same answer")


@dataclass(frozen=True)
class LossOverlay:
    """The losses of both revisions on the same axes."""

    curves: list[tuple[str, str]]
    """(class of the line, its points); they may rise above the plot."""
    dots: list[Dot]
    x_ticks: list[Tick]
    y_ticks: list[Tick]


def comparison_page(comparison: Comparison) -> str:
    """Return the page as HTML text."""
    kinds = [pair.kind for pair in comparison.rows]
    return render_page(
        TEMPLATE,
        comparison=comparison,
        view=view_of(comparison),
        test_words=TEST_WORDS,
        verdict=VERDICT,
        verdict_kinds=VERDICT_KINDS,
        loss=loss_overlay(comparison.before, comparison.after),
        kinds=[(kind, f"{kind} ({kinds.count(kind):,})") for kind in KINDS if kind in kinds],
        category_choices=category_choices(pair.after.category for pair in comparison.rows),
        changed=comparison.data.changed[:CHANGED_RECORDS],
    )


def loss_overlay(before: Snapshot, after: Snapshot) -> LossOverlay:
    """Lay out the training and validation losses of both revisions."""
    old, new = (loss_series(snapshot.results.loss) for snapshot in (before, after))
    axes = Axes(max(old.last_step, new.last_step), (old.shown() + new.shown()) or [0.0])
    curves = [("train before", axes.curve(old.train)), ("train after", axes.curve(new.train))]
    dots = loss_dots(axes, old, "before", "before, ") + loss_dots(axes, new, "after", "after, ")
    return LossOverlay(curves, dots, axes.x_ticks, axes.y_ticks)
