"""A comparison in the terminal."""

from collections.abc import Iterable, Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from reprotune.compare.comparison import Comparison
from reprotune.compare.words import (
    CATEGORY_HEAD,
    METRIC_HEAD,
    NUMBER_HEAD,
    category_cells,
    data_lines,
    flip_summary,
    headline,
    metric_cells,
    notes,
    number_cells,
    row_change,
)
from reprotune.results.words import visible
from reprotune.statistics.paired import BETTER, WORSE

SHOWN_FLIPS = 5
TEXT_WIDTH = 60
STYLES = {BETTER: "green", WORSE: "red"}


def print_comparison(comparison: Comparison, console: Console) -> None:
    """Print every part; of the flips, the first ones only."""
    kind, sentence = headline(comparison)
    console.print(Text(f"{comparison.before.title} → {comparison.after.title}", "dim"))
    console.print(Text(visible(sentence), f"bold {STYLES.get(kind, 'yellow')}"))
    for line in notes(comparison):
        console.print(Text(visible(line), "dim"))
    params = [(change.key, [change.old, change.new]) for change in comparison.params]
    if params:
        console.print(_table("Params", ["Before", "After"], params, "left"))
    else:
        console.print("Params: no difference")
    metrics = [(change.name, _narrow(metric_cells(change))) for change in comparison.paired.values()]
    console.print(_table("Fine-tuned model on shared rows", _narrow(METRIC_HEAD), metrics))
    numbers = [(change.name, number_cells(change)) for change in comparison.numbers]
    console.print(_table("Training", NUMBER_HEAD, numbers))
    if comparison.categories:
        categories = [(change.name, category_cells(change)) for change in comparison.categories]
        console.print(_table("Score by category", CATEGORY_HEAD, categories))
    console.print(f"Rows: {flip_summary(comparison)}")
    if comparison.flips:
        console.print(_flips_table(comparison))
        if len(comparison.flips) > SHOWN_FLIPS:
            console.print(f"{len(comparison.flips) - SHOWN_FLIPS:,} more are on the page that --html writes")
    for line in data_lines(comparison):
        console.print(f"Data: {line}")


def _narrow(cells: Sequence[str]) -> list[str]:
    """Leave out the smallest detectable difference: a note says it, and eight columns do not fit 80 characters."""
    return [cell for place, cell in enumerate(cells) if place != METRIC_HEAD.index("Detectable")]


def _table(title: str, head: Sequence[str], rows: Iterable[tuple[str, Sequence[str]]], justify: str = "right") -> Table:
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column()
    for name in head:
        table.add_column(name, justify="left" if justify == "left" or name == "Verdict" else "right")
    for name, cells in rows:
        table.add_row(Text(_clipped(name)), *(Text(visible(cell), STYLES.get(cell, "")) for cell in cells))
    return table


def _flips_table(comparison: Comparison) -> Table:
    table = Table(box=box.ROUNDED, show_lines=True)
    for name in ("Row", "What", "Score", "Answer before", "Answer after"):
        table.add_column(name)
    for pair in comparison.flips[:SHOWN_FLIPS]:
        answers = (Text(_clipped(row.finetuned.response)) for row in (pair.before, pair.after))
        table.add_row(str(pair.after.number), pair.kind, row_change(pair), *answers)
    return table


def _clipped(text: str) -> str:
    text = visible(" ".join(text.split()))
    return text if len(text) <= TEXT_WIDTH else f"{text[: TEXT_WIDTH - 1]}…"
