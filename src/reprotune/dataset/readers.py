"""Reading the rows of a dataset file: JSON, JSON Lines, CSV, TSV or Parquet, plain or gzipped, in batches.

All but JSON are streamed, so memory does not grow with the file. A row that can be delimited but not read (a
JSON line with a syntax error, a CSV row with one field too many) is an `Unreadable`; a file that cannot be divided
into rows raises `UserError`.
"""

import csv
import gzip
import json
import shutil
import tempfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from io import BufferedReader
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

import pyarrow as pa
import pyarrow.parquet as pq

from reprotune.console import note
from reprotune.errors import UserError
from reprotune.untrusted import clipped

BATCH_ROWS = 4096
HEAD_BYTES = 4096
GZIP_MAGIC = b"\x1f\x8b"
PARQUET_MAGIC = b"PAR1"
UTF8_BOM = b"\xef\xbb\xbf"
MARKUP_STARTS = (b"<!doctype", b"<html", b"<head", b"<body", b"<?xml", b"<!--")

KINDS = {".json": "json", ".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv", ".tsv": "tsv", ".parquet": "parquet"}


@dataclass(frozen=True)
class Unreadable:
    """A row that cannot be read: why, and the row as JSON text."""

    reason: str
    raw: str


SourceRow = dict[str, Any] | Unreadable
OpenFile = BufferedReader | gzip.GzipFile


def read_rows(path: Path, name: str, kind: str) -> Iterator[list[SourceRow]]:
    """Yield the rows of a file in lists of at most `BATCH_ROWS`, in file order; blank lines are not rows.

    `name` is what the user calls the file (a path or URL); it is used in messages and, with kind `auto`, for its
    ending. `kind` is `auto`, `json`, `jsonl`, `csv`, `tsv` or `parquet`. Raises `UserError` if the file is empty,
    damaged, not UTF-8 or of another kind.
    """
    try:
        with _opened(path) as file:
            head = file.read(HEAD_BYTES).removeprefix(UTF8_BOM).lstrip()
            file.seek(0)
            rows = _rows(file, name, _checked_kind(kind, name, head), head)
            while batch := list(islice(rows, BATCH_ROWS)):
                yield batch
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise UserError(f"{name} is a damaged gzip file ({error}): fetch or compress it again") from error


def _opened(path: Path) -> OpenFile:
    with path.open("rb") as file:
        zipped = file.read(len(GZIP_MAGIC)) == GZIP_MAGIC
    return gzip.GzipFile(path, "rb") if zipped else path.open("rb")


def _checked_kind(kind: str, name: str, head: bytes) -> str:
    """Return the file's kind: as set, or by its name, or by its first bytes; refuse what is plainly another kind."""
    if not head:
        raise UserError(f"{name} is empty: check fetch.dataset.source")
    if kind == "auto":
        address = urlsplit(name)
        file_name = unquote(address.path) if address.scheme in ("http", "https") else name
        kind = KINDS.get(PurePosixPath(file_name.lower().removesuffix(".gz")).suffix) or _kind_by_content(head)
    if head.lower().startswith(MARKUP_STARTS):
        raise UserError(
            f"{name} is an HTML or XML page, not {kind or 'a dataset'}: the address probably led to an error or login "
            f"page, so open fetch.dataset.source in a browser and copy the address of the file itself"
        )
    if not kind:
        raise UserError(f"{name}: cannot tell the format from the name or the first bytes: set fetch.dataset.format")
    is_list = head.startswith(b"[") and head[1:].lstrip()[:1] in (b"", b"{")
    if kind == "jsonl" and is_list:
        raise UserError(f"{name} is one JSON list, not JSON Lines: set fetch.dataset.format to json")
    if kind == "json" and not head.startswith((b"[", b"{")):
        raise UserError(f"{name} is not JSON: set fetch.dataset.format to what it is")
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


def _rows(file: OpenFile, name: str, kind: str, head: bytes) -> Iterator[SourceRow]:
    if kind == "json":
        return _json_rows(file, name)
    if kind == "jsonl":
        return _jsonl_rows(file, name)
    if kind == "parquet":
        return _parquet_rows(file, name)
    return _delimited_rows(file, name, _delimiter(kind, name, head))


def _delimiter(kind: str, name: str, head: bytes) -> str:
    """Return what separates fields; spreadsheets of some countries write CSV with semicolons."""
    header = head.splitlines()[0]
    if kind == "tsv":
        return "\t"
    if b";" in header and b"," not in header:
        note(f"{name}: fields are separated by semicolons")
        return ";"
    return ","


def _lines(file: OpenFile, name: str) -> Iterator[str]:
    """Yield decoded lines with their ends; raises `UserError` naming the line and byte that are not UTF-8."""
    for number, line in enumerate(file, start=1):
        try:
            yield (line.removeprefix(UTF8_BOM) if number == 1 else line).decode("utf-8")
        except UnicodeDecodeError as error:
            raise UserError(
                f"{name}: line {number} is not UTF-8 (byte {error.start + 1} of the line): save the file as UTF-8"
            ) from error


def _json_rows(file: OpenFile, name: str) -> Iterator[SourceRow]:
    text = "".join(_lines(file, name))
    try:
        values = DECODER.decode(text)
    except json.JSONDecodeError as error:
        if error.msg == "Extra data" and text.lstrip().startswith("{"):
            raise UserError(f"{name} has one JSON object per line: set fetch.dataset.format to jsonl") from error
        raise UserError(
            f"{name} is not valid JSON: {error.msg} in line {error.lineno}, column {error.colno}: fix it there"
        ) from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{name} cannot be read as JSON ({error}): fix or shorten the value") from error
    yield from (_as_row(value) for value in _row_list(values, name))


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


def _jsonl_rows(file: OpenFile, name: str) -> Iterator[SourceRow]:
    for line in _lines(file, name):
        if line.isspace():
            continue
        try:
            yield _as_row(DECODER.decode(line))
        except json.JSONDecodeError as error:
            yield Unreadable(f"not valid JSON: {error.msg}", json.dumps(line))
        except (ValueError, RecursionError):
            yield Unreadable("not readable JSON: a number too long or nesting too deep", json.dumps(line))


def _object(pairs: list[tuple[str, Any]]) -> SourceRow:
    """Return a JSON object as a row; unreadable where a key occurs twice, because which one was meant?"""
    row = dict(pairs)
    if len(row) == len(pairs):
        return row
    twice = [key for place, (key, _) in enumerate(pairs) if key in dict(pairs[:place])]
    return Unreadable(f"the key {clipped(twice[0], 40)!r} occurs twice", json.dumps(pairs, default=str))


DECODER = json.JSONDecoder(object_pairs_hook=_object)  # made once, which takes as long as reading a row


def _as_row(value: Any) -> SourceRow:
    if isinstance(value, dict | Unreadable):
        return value
    return Unreadable("not a JSON object", json.dumps(value))


def _delimited_rows(file: OpenFile, name: str, delimiter: str) -> Iterator[SourceRow]:
    """Read CSV or TSV with a header row and double quotes (RFC 4180)."""
    csv.field_size_limit(2**31 - 1)  # over-long texts are rejected row by row later on, not a fault of the file
    reader = csv.reader(_lines(file, name), delimiter=delimiter, strict=True)
    header: list[str] = []
    try:
        for fields in reader:
            if not fields:
                continue
            if not header:
                header = _checked_header(fields, name)
            elif len(fields) == len(header):
                yield dict(zip(header, fields, strict=True))
            else:
                few_or_many = "fewer" if len(fields) < len(header) else "more"
                yield Unreadable(f"{few_or_many} fields than the header", json.dumps(fields))
    except csv.Error as error:
        raise UserError(
            f"{name}: cannot be divided into rows at line {reader.line_num} ({error}): put fields with line breaks, "
            f"delimiters or quotes in double quotes, and double the quotes inside"
        ) from error


def _parquet_rows(file: OpenFile, name: str) -> Iterator[SourceRow]:
    with tempfile.TemporaryFile() as unpacked:
        if isinstance(file, gzip.GzipFile):  # Parquet is read from its end, so a gzipped file is unpacked first
            shutil.copyfileobj(file, unpacked)
        try:
            with pq.ParquetFile(unpacked if isinstance(file, gzip.GzipFile) else file) as parquet:
                _checked_header(parquet.schema_arrow.names, name)
                for batch in parquet.iter_batches(batch_size=BATCH_ROWS):
                    yield from batch.to_pylist()
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            raise UserError(f"{name} is not a readable Parquet file ({error}): fetch or write it again") from error


def _checked_header(names: list[str], name: str) -> list[str]:
    repeated = sorted({column for column in names if names.count(column) > 1})
    if repeated:
        raise UserError(f"{name}: column {repeated[0]!r} occurs twice in the header: give each column its own name")
    return names
