"""Reading the rows of a dataset file: JSON, JSON Lines, CSV, TSV or Parquet, plain or gzipped, in batches.

All but JSON are streamed, so memory does not grow with the file. A row that can be delimited but not read (a
JSON line with a syntax error, a CSV row with one field too many) is an `Unreadable`; a file that cannot be divided
into rows raises `UserError`.
"""

import csv
import gzip
import json
import zlib
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from reprotune.console import note
from reprotune.dataset.sources.limits import (
    BATCH_BYTES,
    BATCH_ROWS,
    MOST_COLUMNS,
    MOST_JSON_BYTES,
    Meter,
    OpenFile,
    checked_header,
)
from reprotune.dataset.sources.parquet import parquet_rows
from reprotune.errors import UserError
from reprotune.files import MOST_VALUES, UTF8_BOM, has_too_many_values, json_fault, open_regular, size_words
from reprotune.untrusted import clipped

HEAD_BYTES = 4096
GZIP_MAGIC = b"\x1f\x8b"
PARQUET_MAGIC = b"PAR1"
MARKUP_STARTS = (b"<!doctype", b"<html", b"<head", b"<body", b"<?xml", b"<!--")

KINDS = {".json": "json", ".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv", ".tsv": "tsv", ".parquet": "parquet"}


@dataclass(frozen=True)
class Unreadable:
    """A row that cannot be read: why, the row as JSON text, and where in it the fault is."""

    reason: str
    """The same words for every row with the same fault."""
    raw: str
    place: str = ""


SourceRow = dict[str, Any] | Unreadable
NameColumns = Callable[[list[str]], list[str] | None]
"""First row of a delimited file -> the names of its columns, where it is a row like the others; None: it holds them."""


def read_rows(
    path: Path,
    name: str,
    kind: str,
    columns: Collection[str] | None = None,
    key: str = "fetch.dataset",
    named: NameColumns | None = None,
) -> Iterator[list[SourceRow]]:
    """Yield the rows of a file in lists of at most `BATCH_ROWS`, in file order; blank lines are not rows.

    `name` is what the user calls the file (a path or URL); it is used in messages and, with kind `auto`, for its
    ending. `kind` is `auto`, `json`, `jsonl`, `csv`, `tsv` or `parquet`. Of a Parquet file, only `columns` (null: all)
    are read; the others are null in every row. `key` is where params.yaml has the source, for messages; `named` gives
    the names of the columns to delimited files without a header. Raises `UserError` if the file is empty, damaged, not
    UTF-8, of another kind or beyond one of the limits above.
    """
    try:
        with _opened(path, key) as (file, packed):
            head = file.read(HEAD_BYTES).removeprefix(UTF8_BOM).lstrip()
            file.seek(0)
            kind = _checked_kind(kind, name, head, key)
            meter = Meter(name, path.stat().st_size if packed or kind == "parquet" else None)
            batch: list[SourceRow] = []
            for row in _rows(file, name, kind, head, meter, columns, key, named):
                batch.append(row)
                if len(batch) == BATCH_ROWS or meter.batch_bytes > BATCH_BYTES:
                    yield batch
                    batch, meter.batch_bytes = [], 0
            if batch:
                yield batch
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise UserError(f"{name} is a damaged gzip file ({error}): fetch or compress it again") from error
    except OSError as error:  # in reading, which unlike opening names no file
        error.filename = error.filename or name
        raise


@contextmanager
def _opened(path: Path, key: str) -> Iterator[tuple[OpenFile, bool]]:
    """Yield the unpacked content of a file, and whether it was packed."""
    with open_regular(path, f"check {key}.source") as file:
        zipped = file.peek(len(GZIP_MAGIC)).startswith(GZIP_MAGIC)
        if not zipped:
            yield file, False
            return
        with gzip.GzipFile(fileobj=file, mode="rb") as unpacked:
            yield unpacked, True


def _checked_kind(kind: str, name: str, head: bytes, key: str) -> str:
    """Return the file's kind: as set, or by its name, or by its first bytes; refuse what is plainly another kind."""
    if not head:
        raise UserError(f"{name} is empty: check {key}.source")
    if kind == "auto":
        address = urlsplit(name)
        file_name = unquote(address.path) if address.scheme in ("http", "https") else name
        kind = KINDS.get(PurePosixPath(file_name.lower().removesuffix(".gz")).suffix) or _kind_by_content(head)
    if head.lower().startswith(MARKUP_STARTS):
        raise UserError(
            f"{name} is an HTML or XML page, not {kind or 'a dataset'}: the address probably led to an error or login "
            f"page, so open {key}.source in a browser and copy the address of the file itself"
        )
    if not kind:
        raise UserError(f"{name}: cannot tell the format from the name or the first bytes: set {key}.format")
    is_list = head.startswith(b"[") and head[1:].lstrip()[:1] in (b"", b"{")
    if kind == "jsonl" and is_list:
        raise UserError(f"{name} is one JSON list, not JSON Lines: set {key}.format to json")
    if kind == "json" and not head.startswith((b"[", b"{")):
        raise UserError(f"{name} is not JSON: set {key}.format to what it is")
    return kind


def _kind_by_content(head: bytes) -> str:
    """Return the kind that the first bytes suggest; empty if none."""
    if head.startswith(PARQUET_MAGIC):
        return "parquet"
    if head.startswith(b"["):
        return "json"
    if head.startswith(b"{"):
        return "jsonl"
    first_line = head.splitlines()[0]
    if b"\t" in first_line:
        return "tsv"
    return "csv" if b"," in first_line or b";" in first_line else ""


def _rows(
    file: OpenFile,
    name: str,
    kind: str,
    head: bytes,
    meter: Meter,
    columns: Collection[str] | None,
    key: str,
    named: NameColumns | None,
) -> Iterator[SourceRow]:
    if kind == "json":
        return _json_rows(file, name, meter, key)
    if kind == "jsonl":
        return _jsonl_rows(file, meter)
    if kind == "parquet":
        return parquet_rows(file, name, meter, columns)
    return _delimited_rows(file, name, _delimiter(kind, name, head), meter, named)


def _delimiter(kind: str, name: str, head: bytes) -> str:
    """Return what separates fields; spreadsheets of some countries write CSV with semicolons."""
    header = head.splitlines()[0]
    if kind == "tsv":
        return "\t"
    if b";" in header and b"," not in header:
        note(f"{name}: fields are separated by semicolons")
        return ";"
    return ","


def _json_rows(file: OpenFile, name: str, meter: Meter, key: str) -> Iterator[SourceRow]:
    content = file.read(MOST_JSON_BYTES + 1)
    meter.check_unpacked(len(content))
    if len(content) > MOST_JSON_BYTES:
        raise UserError(
            f"{name} has more than {size_words(MOST_JSON_BYTES)}, which is the limit for JSON: save it as JSON Lines, "
            "one object per line"
        )
    try:
        text = content.removeprefix(UTF8_BOM).decode("utf-8")
    except UnicodeDecodeError as error:
        before = content.removeprefix(UTF8_BOM)[: error.start]
        line, byte = before.count(b"\n") + 1, error.start - before.rfind(b"\n")
        raise UserError(
            f"{name}: line {line} is not UTF-8 (byte {byte} of the line): save the file as UTF-8"
        ) from error
    del content  # as large as the text
    if has_too_many_values(text):
        raise UserError(f"{name} has more than {MOST_VALUES:,} values, which is the limit: save it as JSON Lines")
    try:
        values = DECODER.decode(text)
    except json.JSONDecodeError as error:
        if error.msg == "Extra data" and text.lstrip().startswith("{"):
            raise UserError(f"{name} has one JSON object per line: set {key}.format to jsonl") from error
        raise UserError(
            f"{name} is not valid JSON: {json_fault(error)} in line {error.lineno}, column {error.colno}: fix it there"
        ) from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{name} cannot be read as JSON ({error}): fix or shorten the value") from error
    rows = _row_list(values, name)
    meter.check_rows(len(rows))
    yield from (_as_row(value) for value in rows)


def _row_list(values: Any, name: str) -> list[Any]:
    """Return the list of rows in a JSON document: the document itself, or the only list of objects in it."""
    if isinstance(values, list):
        return values
    if isinstance(values, Unreadable):
        raise UserError(f"{name}: {values.reason} in the outermost object: remove one of them")
    lists = {key: value for key, value in values.items() if isinstance(value, list) and any(map(_is_object, value))}
    if len(lists) != 1:
        found = f"lists of objects under {', '.join(map(repr, lists))}" if lists else "no list of objects"
        raise UserError(f"{name} is a JSON object with {found}: save the rows as one JSON list")
    [(key, rows)] = lists.items()
    note(f"{name}: the rows are those under {key!r}")
    return list(rows)


def _is_object(value: Any) -> bool:
    return isinstance(value, dict | Unreadable)


def _jsonl_rows(file: OpenFile, meter: Meter) -> Iterator[SourceRow]:
    for line in meter.lines(file):
        meter.end_row()
        if line.isspace():
            continue
        try:
            # without the line's end, which a text that is not closed would seem to hold
            yield _as_row(DECODER.decode(line.rstrip("\r\n")))
        except json.JSONDecodeError as error:
            yield Unreadable(f"not valid JSON: {json_fault(error)}", json.dumps(line), f"character {error.colno}")
        except (ValueError, RecursionError):
            yield Unreadable("not readable JSON: a number too long or nesting too deep", json.dumps(line))


def _object(pairs: list[tuple[str, Any]]) -> SourceRow:
    """Return a JSON object as a row; unreadable where a key occurs twice, because which one was meant?"""
    row = dict(pairs)
    if len(row) == len(pairs):
        return row
    seen: set[str] = set()
    twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
    return Unreadable(f"the key {clipped(twice, 40)!r} occurs twice", json.dumps(pairs, default=str))


DECODER = json.JSONDecoder(object_pairs_hook=_object)  # made once, which takes as long as reading a row


def _as_row(value: Any) -> SourceRow:
    if isinstance(value, Unreadable):
        return value
    if not isinstance(value, dict):
        return Unreadable("not a JSON object", json.dumps(value, default=str))
    if len(value) > MOST_COLUMNS:
        return Unreadable(f"more than {MOST_COLUMNS:,} keys", json.dumps(value, default=str))
    return value


def _delimited_rows(
    file: OpenFile, name: str, delimiter: str, meter: Meter, named: NameColumns | None
) -> Iterator[SourceRow]:
    """Read CSV or TSV with double quotes (RFC 4180) and, unless `named` names the columns, a header row."""
    limit = csv.field_size_limit(2**31 - 1)  # over-long texts are rejected row by row later on, not a fault of the file
    reader = csv.reader(meter.lines(file), delimiter=delimiter, strict=True)
    header: list[str] = []
    try:
        for fields in reader:
            meter.end_row()
            if not fields:
                continue
            if not header and (names := named(fields) if named else None):
                header = names
            elif not header:
                header = checked_header(fields, name)
                continue
            if len(fields) == len(header):
                yield dict(zip(header, fields, strict=True))
            else:
                few_or_many = "fewer" if len(fields) < len(header) else "more"
                yield Unreadable(f"{few_or_many} fields than the header", json.dumps(fields))
    except csv.Error as error:
        raise UserError(
            f"{name}: cannot be divided into rows at line {reader.line_num} ({error}): put fields with line breaks, "
            f"delimiters or quotes in double quotes, and double the quotes inside"
        ) from error
    finally:
        csv.field_size_limit(limit)  # it holds for the whole process
