"""The cells of one row: text as it is, or why the row cannot be used."""

import json
from collections.abc import Mapping
from typing import Any

from reprotune.dataset.checks import canonical, parsed_checks
from reprotune.dataset.sources.parquet import NoValue
from reprotune.dataset.sources.readers import SourceRow, Unreadable
from reprotune.untrusted import clipped

RAW_CHARS = 16_384
"""Longest text of a rejected row that is kept."""


class UnusableError(ValueError):
    """Why a row cannot become a record; the wording is the same for all rows with the same fault."""


def text(row: Mapping[str, Any], role: str, column: str, max_chars: int) -> str:
    """Return a cell's text; missing, null and blank cells are empty."""
    value = row.get(column)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise UnusableError(f"{role} is not text but {kind(value)}")
    if len(value) > max_chars:
        raise UnusableError(f"{role} is longer than max_chars ({max_chars})")
    return "" if value.isspace() else value


def required_text(row: Mapping[str, Any], role: str, column: str, max_chars: int) -> str:
    """Return a cell's text; raises `UnusableError` where there is none."""
    found = text(row, role, column, max_chars)
    if not found:
        raise UnusableError(f"{role} is {'empty' if row.get(column) is not None else 'missing'}")
    return found


def category(row: Mapping[str, Any], column: str, max_chars: int) -> str | None:
    """Return the row's label; a whole number becomes its digits, since labels are often numbers."""
    value = row.get(column)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if value is not None and not isinstance(value, str):
        raise UnusableError(f"category is not text but {kind(value)}")
    if value is not None and len(value) > max_chars:
        raise UnusableError(f"category is longer than max_chars ({max_chars})")
    return value if value and not value.isspace() else None


def checks(row: Mapping[str, Any], column: str) -> str | None:
    """Return what an answer must comply with, as JSON text; raises `UnusableError` for what is no list of checks."""
    value = row.get(column)
    if isinstance(value, NoValue):
        raise UnusableError(f"checks are not a list but {kind(value)}")
    try:
        found = parsed_checks(value)
    except ValueError as error:
        raise UnusableError(str(error)) from error
    return canonical(found) if found else None


def kind(value: Any) -> str:
    """Return what a value is, for messages."""
    return value.kind if isinstance(value, NoValue) else type(value).__name__


def raw(row: SourceRow) -> str:
    """Return the row as JSON text, cut to `RAW_CHARS`; values that JSON cannot hold (dates, bytes) become text."""
    try:
        if isinstance(row, Unreadable):
            written = row.raw
        else:  # no more of each text than is kept of the row
            short = {key: clipped(value, RAW_CHARS) if isinstance(value, str) else value for key, value in row.items()}
            written = json.dumps(short, ensure_ascii=False, default=str)
    except RecursionError:
        written = '"(nested too deep)"'
    # A lone surrogate is written as the JSON escape it was read from.
    return clipped(written, RAW_CHARS).encode("utf-8", "backslashreplace").decode()
