"""Artifact contracts: the schema of every Parquet file, byte-stable writing, atomic replacement.

A stage validates what it reads and what it writes, so that DVC never caches a malformed artifact. The same table
gives the same bytes under the same pyarrow (the version is pinned in `constraints.txt`), whatever its chunking.
"""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from reprotune.errors import UserError

ROW_GROUP_ROWS = 8192

SPLITS = ("train", "validation", "test")
"""Names of the splits, as in `data/split/<split>.parquet`."""

MODELS = ("base", "finetuned")
"""Whose answers are compared, as in `data/responses/<model>.parquet`."""

STATISTICS = ("exact_match", "chrf", "rouge_l", "token_f1", "repetition", "length_ratio")
"""Columns of `SCORES` that need no judge and are defined for every answer (`number_agreement` is not)."""

NO_CATEGORY = "(none)"
"""How results name the category of records that have none."""


def _required(name: str, kind: pa.DataType) -> pa.Field:
    return pa.field(name, kind, nullable=False)


TEXT = pa.string()
TOKEN_IDS = pa.list_(pa.field("element", pa.int32(), nullable=False))

RECORDS = pa.schema(
    [
        _required("id", TEXT),
        _required("instruction", TEXT),
        _required("input", TEXT),
        _required("output", TEXT),
        pa.field("category", TEXT),
        _required("source_row", pa.int64()),
    ]
)
"""One instruction record a row; `id` is a content hash, `input` may be empty, `source_row` counts from 0."""

REJECTED = pa.schema([_required("source_row", pa.int64()), _required("reason", TEXT), _required("raw", TEXT)])
"""Rows of the source that cannot be used; `raw` is the row as JSON text."""

FORMATTED = pa.schema(
    [_required("id", TEXT), _required("prompt", TEXT), _required("response", TEXT), _required("header", TEXT)]
)
"""Exactly the text the model sees: `prompt + response` is the training text.

`header` is the part of `response` that belongs to the template (empty unless `response_header: in_response`);
`response.removeprefix(header)` is the record's output.
"""

TOKENS = pa.schema([_required("id", TEXT), _required("prompt_ids", TOKEN_IDS), _required("response_ids", TOKEN_IDS)])
"""`response_ids` ends with 50256 (end-of-text) unless the response was truncated."""

RESPONSES = pa.schema(
    [
        _required("id", TEXT),
        _required("prompt", TEXT),
        _required("reference", TEXT),
        _required("response", TEXT),
        _required("prompt_tokens", pa.int32()),
        _required("response_tokens", pa.int32()),
        _required("finish_reason", TEXT),
    ]
)
"""`finish_reason`: `eos`, `length` (token limit or full context) or `no_room` (the prompt fills the context)."""

SCORES = pa.schema(
    [
        _required("id", TEXT),
        _required("model", TEXT),
        _required("status", TEXT),
        pa.field("score", pa.float64()),
        _required("method", TEXT),
        pa.field("raw", TEXT),
        _required("exact_match", pa.float64()),
        _required("chrf", pa.float64()),
        _required("rouge_l", pa.float64()),
        _required("token_f1", pa.float64()),
        pa.field("number_agreement", pa.float64()),
        _required("repetition", pa.float64()),
        _required("length_ratio", pa.float64()),
    ]
)
"""One row per test record and model, sorted by (`model`, `id`).

`status`: `ok`, `exact`, `empty`, `refused`, `unparsable`, `truncated` or `error`; `score` is null unless scored.
The statistical scores lie in 0..1; `number_agreement` is null where neither text holds a number.
"""


def read_table(path: Path, schema: pa.Schema) -> pa.Table:
    """Read a whole artifact and check it against its contract; raises `UserError` if it does not hold."""
    with _opened(path, schema) as file:
        table = _conformed(file.read(columns=schema.names), schema)
    _validate(table, path)
    return table


def iter_batches(path: Path, schema: pa.Schema, rows: int = ROW_GROUP_ROWS) -> Iterator[pa.RecordBatch]:
    """Yield an artifact in batches of at most `rows` rows, so that memory does not grow with the file."""
    with _opened(path, schema) as file:
        for batch in file.iter_batches(batch_size=rows, columns=schema.names):
            yield batch.cast(schema)


def count_rows(path: Path, schema: pa.Schema) -> int:
    """Return the number of rows from the file's footer alone."""
    with _opened(path, schema) as file:
        return int(file.metadata.num_rows)


def write_table(path: Path, table: pa.Table) -> None:
    """Validate `table` against its own schema and write it atomically with the project's fixed options."""
    with table_writer(path, table.schema) as writer:
        writer.write(table)


@contextmanager
def table_writer(path: Path, schema: pa.Schema) -> Iterator["TableWriter"]:
    """Yield a writer for an artifact; the file appears only when the block ends without an exception."""
    options: dict[str, Any] = {"compression": "zstd", "compression_level": 3, "store_schema": False}
    with replaced_file(path) as temporary, pq.ParquetWriter(temporary, schema, **options) as file:
        writer = TableWriter(path, schema, file)
        yield writer
        writer.flush()


class TableWriter:
    """Writes an artifact piece by piece in fixed row groups; made by `table_writer`.

    Rows are regrouped to `ROW_GROUP_ROWS`, so the bytes do not depend on how the caller cut them. Raises `UserError`
    on a null in a required column, and on an `id` that occurs twice where the schema has an `id` and no `model`.
    """

    def __init__(self, path: Path, schema: pa.Schema, file: pq.ParquetWriter) -> None:
        self._path = path
        self._schema = schema
        self._file = file
        self._pending: list[pa.Table] = []
        self._pending_rows = 0
        self._seen: set[str] | None = set() if "id" in schema.names and "model" not in schema.names else None

    def write(self, table: pa.Table) -> None:
        """Append rows; columns are matched by name and written in the schema's order."""
        table = _conformed(table, self._schema)
        _validate(table, self._path, self._seen)
        self._pending.append(table)
        self._pending_rows += table.num_rows
        while self._pending_rows >= ROW_GROUP_ROWS:
            self._write_group(ROW_GROUP_ROWS)

    def write_rows(self, rows: list[dict[str, Any]]) -> None:
        """Append rows given as dictionaries."""
        self.write(pa.Table.from_pylist(rows, schema=self._schema))

    def flush(self) -> None:
        """Write the rows that do not fill a row group; nothing may follow."""
        if self._pending_rows:
            self._write_group(self._pending_rows)

    def _write_group(self, rows: int) -> None:
        table = pa.concat_tables(self._pending).combine_chunks()
        self._file.write_table(table.slice(0, rows), row_group_size=ROW_GROUP_ROWS)
        rest = table.slice(rows)
        self._pending, self._pending_rows = [rest], rest.num_rows


def write_json(path: Path, value: Any) -> None:
    """Write JSON atomically: sorted keys, two spaces, no NaN (raises ValueError), newline at the end."""
    text = json.dumps(value, indent=2, sort_keys=True, allow_nan=False, ensure_ascii=False)
    write_text(path, text + "\n")


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text atomically, with `\\n` line ends on every system."""
    with replaced_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


@contextmanager
def replaced_file(path: Path) -> Iterator[Path]:
    """Yield a sibling path to write to; it takes the place of `path` when the block ends without an exception."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _temporary_path(path)
    try:
        yield temporary
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    temporary.replace(path)


@contextmanager
def replaced_directory(path: Path) -> Iterator[Path]:
    """Yield an empty sibling folder that takes the place of `path` when the block ends without an exception."""
    temporary = _temporary_path(path)
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        yield temporary
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    shutil.rmtree(path, ignore_errors=True)
    temporary.replace(path)


def _temporary_path(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}.tmp")


@contextmanager
def _opened(path: Path, schema: pa.Schema) -> Iterator[pq.ParquetFile]:
    if not path.is_file():
        raise UserError(f"{path} is missing: run `dvc repro` (or `dvc pull`) to make it")
    try:
        file = pq.ParquetFile(path)
    except pa.ArrowException as error:
        raise UserError(f"{path} is not a readable Parquet file ({error}): delete it and run `dvc repro`") from error
    with file:
        for field in schema:
            found = file.schema_arrow.field(field.name) if field.name in file.schema_arrow.names else None
            if found is None or not found.type.equals(field.type):
                has = "no such column" if found is None else f"type {found.type}"
                raise UserError(
                    f"{path}: column {field.name} should be {field.type} but has {has}: run `dvc repro` to rebuild it"
                )
        yield file


def _conformed(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Take the schema's columns, types and nullability; nulls are left for `_validate`, which names their row."""
    columns = [table[field.name].cast(field.type) for field in schema]
    return pa.Table.from_arrays(columns, schema=schema)


def _validate(table: pa.Table, path: Path, seen: set[str] | None = None) -> None:
    for field in table.schema:
        if not field.nullable and table[field.name].null_count:
            row = pc.index(pc.is_null(table[field.name]), True).as_py()
            raise UserError(f"{path}: column {field.name} is null in row {row}, but every row needs a value")
    if seen is None:
        return
    for identifier in table["id"].to_pylist():
        if identifier in seen:
            raise UserError(f"{path}: id {identifier} occurs twice, but ids are unique")
        seen.add(identifier)
