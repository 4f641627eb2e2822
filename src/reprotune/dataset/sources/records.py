"""From the rows of a source to instruction records: checked, identified by content, nothing dropped silently."""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from reprotune.console import counted
from reprotune.dataset.sources.limits import MOST_COLUMNS
from reprotune.dataset.sources.parquet import NoValue
from reprotune.dataset.sources.readers import SourceRow, Unreadable
from reprotune.errors import UserError
from reprotune.params.sections.fetch import ColumnNames, DatasetParams
from reprotune.untrusted import clipped

ID_DIGITS = 16
SHOWN_NAMES = 20
SHOWN_REASONS = 3
SHOWN_CHARS = 200
RAW_CHARS = 16_384
"""Longest text of a rejected row that is kept."""


class _UnusableError(ValueError):
    """Why a row cannot become a record; the wording is the same for all rows with the same fault."""


class Normalizer:
    """Turns the rows of one source, batch by batch, into records and rejected rows.

    Texts are kept as they are; text that is only white space counts as empty. `source` is the user's name of the
    source, for messages.
    """

    def __init__(self, params: DatasetParams, source: str) -> None:
        self.params = params
        self.source = source
        self.rows = 0
        self.reasons: Counter[str] = Counter()
        self._first_rejected: int | None = None
        self._columns: dict[str, None] = {}  # every column seen, in order
        self._copies: Counter[str] = Counter()

    def normalize(self, batch: list[SourceRow]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Return the batch's (records, rejected rows) for the schemas `RECORDS` and `REJECTED`.

        Raises `UserError` at the first unusable row under `on_bad_row: fail`.
        """
        records, rejected = [], []
        for row in batch:
            source_row = self.rows
            self.rows += 1
            try:
                records.append(self._record(row) | {"source_row": source_row})
            except _UnusableError as fault:
                self._count_rejected(source_row, str(fault))
                rejected.append({"source_row": source_row, "reason": str(fault), "raw": _raw(row)})
        return records, rejected

    def finish(self) -> dict[str, Any]:
        """Return the counts `rows`, `records`, `rejected`, `reasons` and any `unused_columns` after the last batch.

        Raises `UserError` if a mapped column exists in no row, if no row is usable or if more than
        `max_rejected_fraction` of the rows are not.
        """
        rejected = self.reasons.total()
        if not self.rows:
            raise UserError(f"{self.source} holds no rows: check fetch.dataset.source")
        self._check_columns()
        if rejected == self.rows or rejected > self.params.max_rejected_fraction * self.rows:
            most = self.reasons.most_common(SHOWN_REASONS)
            reasons = "; ".join(f"{reason} ({counted(count, 'row')})" for reason, count in most)
            raise UserError(
                f"{self.source}: {rejected} of {self.rows} rows are unusable, the first is row {self._first_rejected} "
                f"(counting from 0): {reasons}: fix the rows, or check fetch.dataset.columns, max_chars and "
                f"max_rejected_fraction"
            )
        summary = {
            "rows": self.rows,
            "records": self.rows - rejected,
            "rejected": rejected,
            "reasons": dict(self.reasons),
        }
        used = set(self.params.columns.model_dump().values())
        unused = [column for column in self._columns if column not in used]
        return summary | {"unused_columns": unused} if unused else summary

    def _record(self, row: SourceRow) -> dict[str, Any]:
        if isinstance(row, Unreadable):
            raise _UnusableError(row.reason)
        if not self._columns.keys() >= row.keys():
            self._columns.update(dict.fromkeys(row))
            if len(self._columns) > MOST_COLUMNS:
                raise UserError(
                    f"{self.source}: the first {self.rows} rows have more than {MOST_COLUMNS:,} different keys, which "
                    "is the limit: keep those that are needed"
                )
        columns, max_chars = self.params.columns, self.params.max_chars
        texts = {
            "instruction": _required_text(row, "instruction", columns.instruction, max_chars),
            "input": _text(row, "input", columns.input, max_chars),
            "output": _required_text(row, "output", columns.output, max_chars),
        }
        category = _category(row, columns.category, max_chars)
        digest = _content_hash(list(texts.values()), category)
        self._copies[digest] += 1
        copy = self._copies[digest]
        return {"id": digest if copy == 1 else f"{digest}-{copy}", **texts, "category": category}

    def _count_rejected(self, source_row: int, reason: str) -> None:
        if self.params.on_bad_row == "fail":
            self._check_columns()
            raise UserError(
                f"{self.source}: row {source_row} (counting from 0) is unusable: {reason}: fix it, or set "
                f"fetch.dataset.on_bad_row to reject"
            )
        if self._first_rejected is None:
            self._first_rejected = source_row
        self.reasons[reason] += 1

    def _check_columns(self) -> None:
        """Raise if a column that should exist was in no row; `input` and `category` may be missing unless renamed."""
        if not self._columns:
            return
        for role, column in self.params.columns.model_dump().items():
            optional = role in ("input", "category") and column == ColumnNames.model_fields[role].default
            alike = [name for name in self._columns if name.strip().casefold() == column.casefold()]
            if column in self._columns or (optional and not alike):
                continue
            alike += get_close_matches(column, [name for name in self._columns if len(name) <= SHOWN_CHARS], n=1)
            meant = f" (did you mean {clipped(alike[0], SHOWN_CHARS)!r}?)" if alike else ""
            there = ", ".join(repr(clipped(name, SHOWN_CHARS)) for name in list(self._columns)[:SHOWN_NAMES])
            raise UserError(
                f"{self.source} has no column {column!r}{meant}, only {there}: set fetch.dataset.columns.{role} to the "
                "right one"
            )


def _text(row: Mapping[str, Any], role: str, column: str, max_chars: int) -> str:
    """Return a cell's text; missing, null and blank cells are empty."""
    value = row.get(column)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise _UnusableError(f"{role} is not text but {_kind(value)}")
    if len(value) > max_chars:
        raise _UnusableError(f"{role} is longer than max_chars ({max_chars})")
    return "" if value.isspace() else value


def _required_text(row: Mapping[str, Any], role: str, column: str, max_chars: int) -> str:
    text = _text(row, role, column, max_chars)
    if not text:
        raise _UnusableError(f"{role} is {'empty' if row.get(column) is not None else 'missing'}")
    return text


def _category(row: Mapping[str, Any], column: str, max_chars: int) -> str | None:
    """Return the row's label; a whole number becomes its digits, since labels are often numbers."""
    value = row.get(column)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if value is not None and not isinstance(value, str):
        raise _UnusableError(f"category is not text but {_kind(value)}")
    if value is not None and len(value) > max_chars:
        raise _UnusableError(f"category is longer than max_chars ({max_chars})")
    return value if value and not value.isspace() else None


def _kind(value: Any) -> str:
    return value.kind if isinstance(value, NoValue) else type(value).__name__


def _content_hash(texts: list[str], category: str | None) -> str:
    """Hash the texts, each preceded by its length, so that moving text between columns changes the hash."""
    try:
        (category or "").encode()  # not hashed, but it has to be storable too
        content = "".join(f"{len(text)}:{text}" for text in texts).encode()
    except UnicodeEncodeError as error:
        # JSON can spell half of a UTF-16 pair ("\ud83d" alone); no UTF-8 file, so no artifact, can hold it.
        raise _UnusableError("text holds half of a surrogate pair, which is no character") from error
    return hashlib.sha256(content).hexdigest()[:ID_DIGITS]


def _raw(row: SourceRow) -> str:
    """Return the row as JSON text, cut to `RAW_CHARS`; values that JSON cannot hold (dates, bytes) become text."""
    try:
        if isinstance(row, Unreadable):
            raw = row.raw
        else:  # no more of each text than is kept of the row
            short = {key: clipped(value, RAW_CHARS) if isinstance(value, str) else value for key, value in row.items()}
            raw = json.dumps(short, ensure_ascii=False, default=str)
    except RecursionError:
        raw = '"(nested too deep)"'
    # A lone surrogate is written as the JSON escape it was read from.
    return clipped(raw, RAW_CHARS).encode("utf-8", "backslashreplace").decode()
