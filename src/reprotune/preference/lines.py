"""Rows of JSON files that people bring: a list of objects, or one object a line."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from reprotune.errors import UserError
from reprotune.files import parsed_json, read_text
from reprotune.untrusted import clipped, visible

Row = dict[str, Any]

MOST_ROWS = 200_000
"""Most rows of such a file."""
NAME_CHARS = 80
"""Longest name of a model or a voter."""


def read_objects(path: Path, remedy: str) -> Iterator[tuple[str, Row]]:
    """Yield (place in words, object) for each row; raises `UserError` that ends in `remedy` for anything else."""
    text = read_text(path, remedy)
    rows: list[tuple[str, Any]]
    listed = text.lstrip().startswith("[")
    if listed:
        rows = [(f"{path} row {number}", row) for number, row in enumerate(parsed_json(text, str(path), remedy), 1)]
    else:
        rows = [(f"{path} line {number}", line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    if not rows:
        raise UserError(f"{path} has no rows: {remedy}")
    if len(rows) > MOST_ROWS:
        raise UserError(f"{path} has more than {MOST_ROWS:,} rows, which is the limit: {remedy}")
    for place, row in rows:
        value = row if listed else parsed_json(row, place, remedy)
        if not isinstance(value, dict):
            raise UserError(f"{place} should be an object, but it is {_shown(value)}: {remedy}")
        yield place, value


def text_field(row: Row, key: str, place: str, remedy: str) -> str:
    """Return a text of a row; raises `UserError` where it is missing or no text."""
    value = row.get(key)
    if not isinstance(value, str):
        fault = f"should be text, not {_shown(value)}" if key in row else "is missing"
        raise UserError(f"{place}: {key} {fault}: {remedy}")
    return value


def name_field(row: Row, key: str, place: str, remedy: str) -> str:
    """Return the name of a model or voter in a row, checked as `checked_name` does."""
    return checked_name(text_field(row, key, place, remedy), f"{place}: {key}", remedy)


def checked_name(name: str, where: str, remedy: str) -> str:
    """Return a name without blanks around it; raises `UserError` unless it is short and printable."""
    name = name.strip()
    if not name or len(name) > NAME_CHARS or visible(name) != name or not name.isprintable():
        fault = f"should be a name of 1 to {NAME_CHARS} printable characters, not {_shown(name)}"
        raise UserError(f"{where} {fault}: {remedy}")
    return name


def _shown(value: Any) -> str:
    return clipped(visible(repr(value)), 60)
