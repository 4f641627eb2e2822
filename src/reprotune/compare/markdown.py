"""A comparison as Markdown for a pull request: of bounded size, and inert whatever the answers contain.

Text from a dataset, a model or params.yaml is put in code: as a span in a table, as a fenced block elsewhere, each
with more backticks than the text has in a row. In code, GitHub renders no HTML and notifies nobody.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

from reprotune.compare import words
from reprotune.compare.comparison import Comparison, RowPair
from reprotune.pages.markdown import code_span, longest_run
from reprotune.untrusted import clipped, visible

MAX_CHARS = 60_000
"""GitHub refuses comments of more than 65,536 characters."""

TEXT_CHARS = 800
TABLE_ROWS = 40


def comparison_markdown(comparison: Comparison) -> str:
    """Return the comparison in at most `MAX_CHARS` characters; rows that do not fit are counted."""
    view = words.view_of(comparison)
    titles = [code_span(snapshot.title) for snapshot in (comparison.before, comparison.after)]
    parts = [
        f"## {_plain(view.headline)}",
        f"{titles[0]} → {titles[1]}",
        "\n".join(f"- {_plain(note)}" for note in view.notes),
        _section(_quoted(view.params, cells=True)),
        _section(view.metrics),
        _section(_quoted(view.benchmarks)) if view.benchmarks.rows else "",
        words.TEST_WORDS,
        _section(view.numbers),
        _section(_quoted(view.categories)) if view.categories.rows else "",
        "### Data",
        "\n".join(f"- {line}" for line in view.data),
        "### Rows that flipped",
        view.flips,
    ]
    text = "\n\n".join(part for part in parts if part)
    return f"{text}\n\n{_flips(comparison.flips, MAX_CHARS - len(text) - 4)}".rstrip() + "\n"


def code_block(text: str) -> str:
    """Return text as a fenced code block that it cannot close."""
    text = clipped(visible(text.replace("\r\n", "\n")).strip("\n"), TEXT_CHARS)
    fence = "`" * max(3, longest_run(text) + 1)
    return f"{fence}text\n{text}\n{fence}"


def _quoted(table: words.Table, cells: bool = False) -> words.Table:
    """Return a table with its names, which others wrote, as code; with `cells`, those too."""
    rows = [(code_span(name), [code_span(cell) for cell in row] if cells else row) for name, row in table.rows]
    return replace(table, rows=rows)


def _section(table: words.Table) -> str:
    """Return a table under its title; rows beyond `TABLE_ROWS` are only counted."""
    if not table.rows:
        return f"### {table.title}\n\nNo difference."
    lines = [f"### {table.title}", "", f"| {' | '.join([table.first, *table.head])} |"]
    lines.append(f"|---|{'---:|' * len(table.head)}")
    lines += [f"| {' | '.join([name, *cells])} |" for name, cells in table.rows[:TABLE_ROWS]]
    if len(table.rows) > TABLE_ROWS:
        lines += ["", f"{len(table.rows) - TABLE_ROWS} more are on the HTML page."]
    return "\n".join(lines)


def _flips(flips: Sequence[RowPair], room: int) -> str:
    """Return as many flips as fit into `room` characters, folded away."""
    head, foot = "<details><summary>Both answers, side by side</summary>\n\n", "\n\n</details>"
    tail = "\n\n{} more are on the HTML page."
    room -= len(head) + len(foot) + len(tail) + 10
    shown: list[str] = []
    for text in map(_flip, flips):
        room -= len(text) + 2
        if room < 0:
            break
        shown.append(text)
    rest = len(flips) - len(shown)
    more = tail.format(f"{rest:,}") if rest else ""
    return head + "\n\n".join(shown) + more + foot if shown else more


def _flip(pair: RowPair) -> str:
    row = pair.after
    category = f", {code_span(row.category)}" if row.category else ""
    question = f"{row.instruction}\n\n{row.input}" if row.input else row.instruction
    blocks: Iterable[tuple[str, str]] = (
        (f"**Row {row.number}{category}: {pair.kind}, {words.row_change(pair)}**", question),
        ("Reference", row.reference),
        ("Before", pair.before.finetuned.response),
        ("After", pair.after.finetuned.response),
    )
    return "\n\n".join(f"{title}\n{code_block(text)}" for title, text in blocks)


def _plain(text: str) -> str:
    """Return one of our sentences, which may quote a method, a title or a param, with active characters escaped."""
    text = re.sub(r"([\\*_`\[\]<>&#|~])", lambda match: f"&#{ord(match[1])};", visible(" ".join(text.split())))
    return text.replace("@", "@&#8203;")  # an invisible space: nobody is notified
