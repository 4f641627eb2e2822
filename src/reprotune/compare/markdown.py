"""A comparison as Markdown for a pull request: bounded, and deaf to markup in answers.

Whatever a dataset, a model or params.yaml may hold stands in code: as a span in a table, as a fenced block elsewhere,
each with more backticks than the text has in a row. In code, GitHub renders no HTML and notifies nobody.
"""

import re
from collections.abc import Iterable, Sequence

from reprotune.compare.comparison import Comparison, RowPair
from reprotune.compare.words import (
    CATEGORY_HEAD,
    METRIC_HEAD,
    NUMBER_HEAD,
    TEST_WORDS,
    category_cells,
    data_lines,
    flip_summary,
    headline,
    metric_cells,
    notes,
    number_cells,
    row_change,
)
from reprotune.untrusted import clipped, visible

MAX_CHARS = 60_000
"""GitHub refuses comments of more than 65,536 characters."""

CELL_CHARS = 80
TEXT_CHARS = 800
TABLE_ROWS = 40


def comparison_markdown(comparison: Comparison) -> str:
    """Return the comparison in at most `MAX_CHARS` characters; rows that do not fit are counted."""
    _, sentence = headline(comparison)
    titles = [code_span(snapshot.title) for snapshot in (comparison.before, comparison.after)]
    parts = [
        f"## {_plain(sentence)}",
        f"{titles[0]} → {titles[1]}",
        "\n".join(f"- {_plain(note)}" for note in notes(comparison)),
        "### Params",
        _params(comparison),
        "### Fine-tuned model on shared rows",
        _table("Metric", METRIC_HEAD, [(change.name, metric_cells(change)) for change in comparison.paired.values()]),
        TEST_WORDS,
        "### Training",
        _table("Number", NUMBER_HEAD, [(change.name, number_cells(change)) for change in comparison.numbers]),
    ]
    if comparison.categories:
        rows = [(code_span(change.name), category_cells(change)) for change in comparison.categories]
        parts += ["### Score by category", _table("Category", CATEGORY_HEAD, rows)]
    parts += ["### Data", "\n".join(f"- {line}" for line in data_lines(comparison))]
    parts += ["### Rows that flipped", flip_summary(comparison)]
    text = "\n\n".join(part for part in parts if part)
    return f"{text}\n\n{_flips(comparison.flips, MAX_CHARS - len(text) - 4)}".rstrip() + "\n"


def code_span(text: str) -> str:
    """Return text as a span of code that also stands in a table: one line, clipped, without pipes."""
    text = clipped(visible(" ".join(text.split())).replace("|", "\N{BROKEN BAR}"), CELL_CHARS)
    if not text:
        return ""
    fence = "`" * (_longest_run(text) + 1)
    return f"{fence} {text} {fence}"


def code_block(text: str) -> str:
    """Return text as a fenced block that it cannot end."""
    text = clipped(visible(text.replace("\r\n", "\n")).strip("\n"), TEXT_CHARS)
    fence = "`" * max(3, _longest_run(text) + 1)
    return f"{fence}text\n{text}\n{fence}"


def _params(comparison: Comparison) -> str:
    if not comparison.params:
        return "No difference."
    rows = [(code_span(change.key), [code_span(change.old), code_span(change.new)]) for change in comparison.params]
    return _table("Key", ["Before", "After"], rows)


def _table(first: str, head: Sequence[str], rows: Sequence[tuple[str, Sequence[str]]]) -> str:
    lines = [f"| {' | '.join([first, *head])} |", f"|---|{'---:|' * len(head)}"]
    lines += [f"| {' | '.join([name, *cells])} |" for name, cells in rows[:TABLE_ROWS]]
    more = f"\n\n{len(rows) - TABLE_ROWS} more are on the HTML page." if len(rows) > TABLE_ROWS else ""
    return "\n".join(lines) + more


def _flips(flips: Sequence[RowPair], room: int) -> str:
    """Return as many flips as fit, folded away."""
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
        (f"**Row {row.number}{category}: {pair.kind}, {row_change(pair)}**", question),
        ("Reference", row.reference),
        ("Before", pair.before.finetuned.response),
        ("After", pair.after.finetuned.response),
    )
    return "\n\n".join(f"{title}\n{code_block(text)}" for title, text in blocks)


def _plain(text: str) -> str:
    """Return a sentence of ours, which may quote the name of a method or a param, without active characters."""
    text = re.sub(r"([\\*_`\[\]<>&#|~])", lambda match: f"&#{ord(match[1])};", visible(" ".join(text.split())))
    return text.replace("@", "@&#8203;")  # an invisible space: nobody is notified


def _longest_run(text: str) -> int:
    return max((len(run) for run in re.findall("`+", text)), default=0)
