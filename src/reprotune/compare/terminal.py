"""A comparison in the terminal."""

from typing import Literal

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from reprotune.compare import words
from reprotune.compare.comparison import Comparison
from reprotune.untrusted import clipped, visible

SHOWN_FLIPS = 5
TEXT_WIDTH = 60
STYLES = {"better": "green", "worse": "red", "noise": ""}


def print_comparison(comparison: Comparison, console: Console) -> None:
    """Print every part of a comparison, with the first few flips only."""
    view = words.view_of(comparison)
    console.print(Text(f"{comparison.before.title} → {comparison.after.title}", "dim"))
    console.print(Text(visible(view.headline), f"bold {STYLES[view.kind] or 'yellow'}"))
    for line in view.notes:
        console.print(Text(visible(line), "dim"))
    if view.params.rows:
        console.print(_table(view.params, "left"))
    else:
        console.print(f"{view.params.title}: no difference")
    # the smallest detectable difference is in a note, and eight columns do not fit 80 characters
    console.print(_table(view.metrics.without(words.DETECTABLE)))
    if view.benchmarks.rows:
        console.print(_table(view.benchmarks.without(words.DETECTABLE)))
    console.print(_table(view.numbers))
    if view.categories.rows:
        console.print(_table(view.categories))
    console.print(f"Rows: {view.flips}")
    if comparison.flips:
        console.print(_flips_table(comparison))
        if len(comparison.flips) > SHOWN_FLIPS:
            console.print(f"{len(comparison.flips) - SHOWN_FLIPS:,} more are on the page that `--html` writes")
    for line in view.data:
        console.print(f"Data: {line}")


def _table(table: words.Table, justify: Literal["left", "right"] = "right") -> Table:
    shown = Table(title=table.title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    shown.add_column()
    for name in table.head:
        shown.add_column(name, justify="left" if name == words.VERDICT else justify)
    for name, cells in table.rows:
        texts = (_cell(head, cell) for head, cell in zip(table.head, cells, strict=True))
        shown.add_row(Text(_one_line(name)), *texts)
    return shown


def _cell(head: str, text: str) -> Text:
    return Text(visible(text), STYLES[words.VERDICT_KINDS[text]] if head == words.VERDICT else "")


def _flips_table(comparison: Comparison) -> Table:
    table = Table(box=box.ROUNDED, show_lines=True)
    for name in ("Row", "What", "Score", "Answer before", "Answer after"):
        table.add_column(name)
    for pair in comparison.flips[:SHOWN_FLIPS]:
        answers = (Text(_one_line(row.finetuned.response)) for row in (pair.before, pair.after))
        table.add_row(str(pair.after.number), pair.kind, words.row_change(pair), *answers)
    return table


def _one_line(text: str) -> str:
    return clipped(visible(" ".join(text.split())), TEXT_WIDTH)
