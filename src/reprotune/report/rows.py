"""All test rows as a table for spreadsheets.

A spreadsheet runs a cell that begins like a formula, whoever wrote it, so texts are written such that none does.
Nothing is lost by it: both steps are undone by taking off one leading apostrophe and then turning `⟨U+0007⟩` back into
the character of that number.
"""

import csv
import io
import re
from collections.abc import Iterable
from typing import Any

from reprotune.artifacts import MODELS
from reprotune.results.read import OWN_STATISTICS, Answer, Row
from reprotune.untrusted import visible

BYTE_ORDER_MARK = "\ufeff"
"""Without it, Excel takes the file for one in the encoding of the country."""

ACTIVE = re.compile(r"\s*[=+\-@'\uff1d\uff0b\uff0d\uff20]|[\t\n]")
"""How a text begins that is given an apostrophe: as a formula does, in full width too and after white space, which some
programs skip; with a tab or line break; or with an apostrophe of its own, so that the one added can be told from it."""

LITERAL = re.compile(r"⟨(?=U\+[0-9A-F]{4,6}⟩)")
"""The bracket of a text that already looks like a spelled-out character."""

ANSWER_COLUMNS = ("response", "score", "status", "finish_reason", "response_tokens", *OWN_STATISTICS)
COLUMNS = (
    "id",
    "number",
    "category",
    "instruction",
    "input",
    "reference",
    *(f"{model}_{column}" for model in MODELS for column in ANSWER_COLUMNS),
    "gain",
)


def rows_csv(rows: Iterable[Row]) -> str:
    """Return a line per row, in the order of the test set, under the names `COLUMNS`."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
    writer.writerow(COLUMNS)
    for row in rows:
        own = [row.id, row.number, row.category, row.instruction, row.input, row.reference]
        writer.writerow(map(_cell, [*own, *_answer_cells(row.base), *_answer_cells(row.finetuned), row.gain]))
    return BYTE_ORDER_MARK + text.getvalue()


def inert(text: str) -> str:
    """Return a text as a spreadsheet may have it: control characters spelled out, an apostrophe before an active start.

    Control and format characters become e.g. `⟨U+202E⟩`, and text that looks so already has its bracket spelled out.
    """
    shown = visible(LITERAL.sub("⟨U+27E8⟩", text))
    return f"'{shown}" if ACTIVE.match(shown) else shown


def _answer_cells(answer: Answer) -> list[Any]:
    own = [answer.response, answer.score, answer.status, answer.finish_reason, answer.response_tokens]
    return [*own, *(answer.statistics[name] for name in OWN_STATISTICS)]


def _cell(value: Any) -> Any:
    return inert(value) if isinstance(value, str) else value
