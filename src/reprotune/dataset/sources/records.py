"""From the rows of a source to records: checked, identified by content, nothing dropped silently."""

import hashlib
from collections import Counter
from difflib import get_close_matches
from typing import Any

from reprotune.console import counted
from reprotune.dataset.sources import fields
from reprotune.dataset.sources.fields import UnusableError
from reprotune.dataset.sources.limits import MOST_COLUMNS
from reprotune.dataset.sources.readers import SourceRow, Unreadable
from reprotune.dataset.sources.shapes import (
    SHAPES,
    Row,
    Shape,
    columns_read,
    content_texts,
    detected,
    expanded,
)
from reprotune.errors import UserError
from reprotune.params.sections.dataset import ColumnNames, DatasetParams, SourceParams
from reprotune.untrusted import clipped

ID_DIGITS = 16
SHOWN_NAMES = 20
SHOWN_REASONS = 3
SHOWN_CHARS = 200
MAY_BE_MISSING = ("input", "category", "system")

Records = list[dict[str, Any]]


class Normalizer:
    """Turns the rows of one source, batch by batch, into records and rejected rows.

    Texts are kept as they are; text that is only white space counts as empty. `key` is where params.yaml has the
    source's settings, for messages.
    """

    def __init__(self, params: DatasetParams, key: str, source: SourceParams) -> None:
        self.params = params
        self.key = key
        self.columns = source.columns
        self.name = source.source
        self.shape = SHAPES.get(source.shape)
        self.rows = 0
        self.records = 0
        self.reasons: Counter[str] = Counter()
        self._first_rejected = ""
        self._file, self._file_start = source.source, 0
        self._columns: dict[str, None] = {}  # every column seen, in order
        self._copies: Counter[str] = Counter()

    def begin_file(self, name: str) -> None:
        """Note that the rows from here on are those of another file, for messages."""
        self._file, self._file_start = name, self.rows

    def normalize(self, batch: list[SourceRow]) -> tuple[Records, Records]:
        """Return the batch's (records, rejected rows) for the schemas `RECORDS` or `CONVERSATIONS`, and `REJECTED`.

        The first batch decides the shape where params.yaml does not. Raises `UserError` at the first unusable row under
        `on_bad_row: fail`.
        """
        shape = self.shape = self.shape or detected(batch, self.columns)
        records: Records = []
        rejected: Records = []
        for row in batch:
            source_row = self.rows
            self.rows += 1
            try:
                parts = expanded(self._readable(row), shape)
            except UnusableError as fault:
                self._reject(rejected, source_row, row, fault)
                continue
            for part in parts:
                try:
                    records.append(self._record(part, shape) | {"source_row": source_row})
                except UnusableError as fault:
                    self._reject(rejected, source_row, part, fault)
        self.records += len(records)
        return records, rejected

    def finish(self) -> dict[str, Any]:
        """Return the counts `rows`, `records`, `rejected`, `reasons` and any `unused_columns` after the last batch.

        `shape` is named where it is not `instruction`. Raises `UserError` if a mapped column exists in no row, if no
        row is usable or if more than `max_rejected_fraction` of the rows are not.
        """
        rejected = self.reasons.total()
        if not self.rows or self.shape is None:
            raise UserError(f"{self.name} holds no rows: check {self.key}.source")
        self._check_columns()
        if not self.records or rejected > self.params.max_rejected_fraction * self.rows:
            most = self.reasons.most_common(SHOWN_REASONS)
            reasons = "; ".join(f"{reason} ({counted(count, 'row')})" for reason, count in most)
            raise UserError(
                f"{self.name}: {rejected} of {self.rows} rows are unusable, the first is {self._first_rejected}: "
                f"{reasons}: fix the rows, or check {self.key}.columns, max_chars and "
                f"max_rejected_fraction"
            )
        summary = {
            "rows": self.rows,
            "records": self.records,
            "rejected": rejected,
            "reasons": dict(self.reasons),
        }
        if self.shape.name != "instruction":
            summary["shape"] = self.shape.name
        used = columns_read(self.shape.name, self.columns)
        unused = [column for column in self._columns if column not in used]
        return summary | {"unused_columns": unused} if unused else summary

    def _readable(self, row: SourceRow) -> Row:
        if isinstance(row, Unreadable):
            raise UnusableError(row.reason)
        if not self._columns.keys() >= row.keys():
            self._columns.update(dict.fromkeys(row))
            if len(self._columns) > MOST_COLUMNS:
                raise UserError(
                    f"{self.name}: the first {self.rows} rows have more than {MOST_COLUMNS:,} different keys, which "
                    "is the limit: keep those that are needed"
                )
        return row

    def _record(self, row: Row, shape: Shape) -> dict[str, Any]:
        content = shape.read(row, self.columns, self.params.max_chars)
        category = fields.category(row, self.columns.category, self.params.max_chars)
        digest = content_hash(content_texts(content), category)
        checked = {}
        if self.columns.checks is not None:
            checked["checks"] = fields.checks(row, self.columns.checks)
        return {"id": numbered(digest, self._copies), **content, "category": category, **checked}

    def _reject(self, rejected: Records, source_row: int, row: SourceRow, fault: UnusableError) -> None:
        reason, within = str(fault), row.place if isinstance(row, Unreadable) else ""
        place = f"row {source_row - self._file_start}"
        if self._file != self.name:
            place = f"{place} of {self._file}"
        place = f"{place} (counting from 0{f', {within}' if within else ''})"
        if self.params.on_bad_row == "fail":
            self._check_columns()
            raise UserError(
                f"{self.name}: {place} is unusable: {reason}: fix it, or set fetch.dataset.on_bad_row to reject"
            )
        self._first_rejected = self._first_rejected or place
        self.reasons[reason] += 1
        reason = f"{reason} ({within})" if within else reason
        rejected.append({"source_row": source_row, "reason": reason, "raw": fields.raw(row)})

    def _check_columns(self) -> None:
        """Raise if a column that should exist was in no row; `MAY_BE_MISSING` ones may, unless renamed."""
        if not self._columns or self.shape is None:
            return
        named = self.shape.columns(self.columns)
        for role, column in (named if self.columns.checks is None else named | {"checks": self.columns.checks}).items():
            optional = role in MAY_BE_MISSING and column == ColumnNames.model_fields[role].default
            alike = [name for name in self._columns if name.strip().casefold() == column.casefold()]
            if column in self._columns or (optional and not alike):
                continue
            alike += get_close_matches(column, [name for name in self._columns if len(name) <= SHOWN_CHARS], n=1)
            meant = f" (did you mean {clipped(alike[0], SHOWN_CHARS)!r}?)" if alike else ""
            there = ", ".join(repr(clipped(name, SHOWN_CHARS)) for name in list(self._columns)[:SHOWN_NAMES])
            raise UserError(
                f"{self.name} has no column {column!r}{meant}, only {there}: set {self.key}.columns.{role} to the "
                "right one"
            )


def numbered(digest: str, copies: Counter[str]) -> str:
    """Return the id of a record with this hash, the second copy's ending in `-2`; counts it in `copies`."""
    copies[digest] += 1
    return digest if copies[digest] == 1 else f"{digest}-{copies[digest]}"


def content_hash(texts: list[str], category: str | None) -> str:
    """Hash the texts, each preceded by its length, so that moving text between columns changes the hash."""
    try:
        (category or "").encode()  # not hashed, but it has to be storable too
        content = "".join(f"{len(text)}:{text}" for text in texts).encode()
    except UnicodeEncodeError as error:
        # JSON can spell half of a UTF-16 pair ("\ud83d" alone); no UTF-8 file, so no artifact, can hold it.
        raise UnusableError("text holds half of a surrogate pair, which is no character") from error
    return hashlib.sha256(content).hexdigest()[:ID_DIGITS]
