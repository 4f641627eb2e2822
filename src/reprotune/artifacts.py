"""Artifact contracts: the schema of every Parquet file, byte-stable writing, atomic replacement.

A stage validates what it reads and what it writes, so that DVC never caches a malformed artifact. The same table
gives the same bytes under the same pyarrow (the version is pinned in `constraints.txt`), whatever its chunking.
"""

import errno
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from reprotune.errors import UserError
from reprotune.faults import WRITING
from reprotune.temporary import clear_leftovers, temporary_path

ROW_GROUP_ROWS = 8192

SPLITS = ("train", "validation", "test")
"""Names of the splits, as in `data/split/<split>.parquet`."""

MODELS = ("base", "finetuned")
"""Whose answers are compared, as in `data/responses/<model>.parquet`."""

STATISTICS = ("exact_match", "chrf", "rouge_l", "token_f1", "repetition", "length_ratio")
"""Columns of `SCORES` that need no judge and are defined for every answer (`number_agreement` is not)."""

NO_CATEGORY = "(none)"
"""How results name the category of records that have none."""


class Contract(NamedTuple):
    """What an artifact holds, in words. The manual's page of artifacts is made from it; no file contains it."""

    row: str
    """What one row is."""
    columns: dict[str, str]
    """What each column means."""


CONTRACTS: dict[pa.Schema, Contract] = {}
"""The contract of every schema, here and in the modules `contracts` of subjects with artifacts of their own."""

TEXT = pa.string()
TOKEN_IDS = pa.list_(pa.field("element", pa.int32(), nullable=False))


def _objects(**fields: pa.DataType) -> pa.DataType:
    """Return the type of a list of objects, all of whose fields are required."""
    item = pa.struct([pa.field(name, kind, nullable=False) for name, kind in fields.items()])
    return pa.list_(pa.field("element", item, nullable=False))


MESSAGES = _objects(role=TEXT, content=TEXT)
TURNS = _objects(text=TEXT, trained=pa.bool_())
SPANS = _objects(start=pa.int32(), end=pa.int32())


def contract(row: str, *columns: tuple[pa.Field, str]) -> pa.Schema:
    """Return a schema of these columns, and note in `CONTRACTS` what a row and each column mean."""
    schema = pa.schema([field for field, _ in columns])
    CONTRACTS[schema] = Contract(row, {field.name: meaning for field, meaning in columns})
    return schema


def required(name: str, kind: pa.DataType, meaning: str) -> tuple[pa.Field, str]:
    """Return a column that is never null, with its meaning."""
    return pa.field(name, kind, nullable=False), meaning


def optional(name: str, kind: pa.DataType, meaning: str) -> tuple[pa.Field, str]:
    """Return a column that may be null, with its meaning."""
    return pa.field(name, kind), meaning


_ID = "Identifies the record in every artifact: 16 hex digits, a hash of its content; repeats end in `-2`, `-3`, ..."

_CATEGORY = optional("category", TEXT, "The kind of task; null where the source names none.")
_SOURCE_ROW = required("source_row", pa.int64(), "The row of the source, counted from 0 through all of its files.")
_SOURCE = required("source", TEXT, "The name of the source, as in `fetch.dataset.sources`.")
_RECORD = (
    required("id", TEXT, _ID),
    required("instruction", TEXT, "The task in words."),
    required("input", TEXT, "The task's material; empty where there is none."),
    required("output", TEXT, "The wanted answer."),
    _CATEGORY,
    _SOURCE_ROW,
)
_CONVERSATION = (
    required("id", TEXT, _ID),
    required(
        "messages",
        MESSAGES,
        "What was said, by `role`: an optional `system`, then `user` and `assistant` in turn, the last being "
        "`assistant`; a plain text is one message of the `assistant`.",
    ),
    _CATEGORY,
    _SOURCE_ROW,
)
_REJECTION = (
    _SOURCE_ROW,
    required("reason", TEXT, "Why it cannot be used; all rows with the same fault have the same text."),
    required("raw", TEXT, "The row as JSON text, of which at most 16,384 characters are kept."),
)

_CHECKS = optional("checks", TEXT, "What an answer must comply with, as a JSON list; null where there is nothing.")

RECORDS = contract("one instruction record", *_RECORD)
RECORDS_WITH_SOURCE = contract("one instruction record of several sources", *_RECORD, _SOURCE)
CONVERSATIONS = contract("one conversation", *_CONVERSATION)
CONVERSATIONS_WITH_SOURCE = contract("one conversation of several sources", *_CONVERSATION, _SOURCE)
CHECKED_RECORDS = contract("one instruction record with its checks", *_RECORD, _CHECKS)
CHECKED_RECORDS_WITH_SOURCE = contract(
    "one instruction record of several sources with its checks", *_RECORD, _SOURCE, _CHECKS
)
CHECKED_CONVERSATIONS = contract("one conversation with its checks", *_CONVERSATION, _CHECKS)
CHECKED_CONVERSATIONS_WITH_SOURCE = contract(
    "one conversation of several sources with its checks", *_CONVERSATION, _SOURCE, _CHECKS
)
RECORD_SCHEMAS = (
    *(RECORDS, RECORDS_WITH_SOURCE, CONVERSATIONS, CONVERSATIONS_WITH_SOURCE, CHECKED_RECORDS),
    *(CHECKED_RECORDS_WITH_SOURCE, CHECKED_CONVERSATIONS, CHECKED_CONVERSATIONS_WITH_SOURCE),
)
"""What `data/raw/records.parquet` and the files of `data/split/` may have; see `record_schema`."""

REJECTED = contract("one unusable row of the source", *_REJECTION)
REJECTED_WITH_SOURCE = contract("one unusable row of several sources", *_REJECTION, _SOURCE)

_TEXTS = (
    required("id", TEXT, _ID),
    required("prompt", TEXT, "Everything up to the answer."),
    required("response", TEXT, "`header` and the record's output; with a chat template, what that makes of it."),
    required("header", TEXT, "The template's response header; empty unless `format.response_header: in_response`."),
)

FORMATTED = contract(
    "one record as the text that the model sees; the training text is `prompt + response`. Where a record's own text "
    "spells a special token, U+E01B stands before it",
    *_TEXTS,
)
FORMATTED_TURNS = contract(
    "one conversation as the text that the model sees, if the records are conversations",
    *_TEXTS,
    required("turns", TURNS, "`prompt + response`, cut into what is only read and what is learned."),
)

_IDS = (
    required("id", TEXT, _ID),
    required("prompt_ids", TOKEN_IDS, "The prompt."),
    required("response_ids", TOKEN_IDS, "The response; an end-of-text token is in it unless it was truncated."),
)
_SPANS = required("trained_spans", SPANS, "What is learned of `prompt_ids + response_ids`: from `start` up to `end`.")

TOKENS = contract("one record as token ids; records that were dropped have no row", *_IDS)
TOKENS_TURNS = contract("one conversation as token ids, if the records are conversations", *_IDS, _SPANS)

RESPONSES = contract(
    "one record of the test set with a model's answer",
    required("id", TEXT, _ID),
    required("prompt", TEXT, "What the model was given."),
    required("reference", TEXT, "The record's output."),
    required("response", TEXT, "The model's answer, without the response header and surrounding white space."),
    required("prompt_tokens", pa.int32(), "Length of the prompt."),
    required("response_tokens", pa.int32(), "Number of generated tokens, end of text not counted."),
    required(
        "finish_reason",
        TEXT,
        "Why generation stopped: `eos` (end of text), `length` (token limit or full context) or `no_room` (the prompt "
        "fills the context).",
    ),
)

SCORES = contract(
    "one answer with its score; sorted by model, then id",
    required("id", TEXT, _ID),
    required("model", TEXT, "Whose answer it is: `base` or `finetuned`."),
    required(
        "status",
        TEXT,
        "`exact` (equal to the reference) and `empty` are scored without a judge, `ok` is any other scored answer; "
        "`refused`, `unparsable`, `truncated` and `error` say why a judge gave no score.",
    ),
    optional("score", pa.float64(), "0 to 100; null where the judge gave no score."),
    required("method", TEXT, "What scored it: `offline_composite`, or `backend:model:rubric` of the judge."),
    optional("raw", TEXT, "The judge's last reply; null where no judge was asked."),
    required(
        "exact_match", pa.float64(), "1 where the answer equals the reference, white space and a final full stop aside."
    ),
    required("chrf", pa.float64(), "chrF2 of the two texts, 0 to 1: F-score of character n-grams up to 6."),
    required("rouge_l", pa.float64(), "ROUGE-L, 0 to 1: F1 of the longest common subsequence of words."),
    required("token_f1", pa.float64(), "F1 of the two multisets of words, 0 to 1."),
    optional("number_agreement", pa.float64(), "F1 of the numbers in both texts, 0 to 1; null where neither has any."),
    required("repetition", pa.float64(), "Share of the answer's word 3-grams that occurred before: a loop is near 1."),
    required("length_ratio", pa.float64(), "Shorter length in characters divided by the longer: 1 is equal length."),
)


def record_schema(conversations: bool, source: bool, checks: bool) -> pa.Schema:
    """Return which of `RECORD_SCHEMAS` records have."""
    return RECORD_SCHEMAS[4 * checks + 2 * conversations + source]


def read_table(path: Path, schema: pa.Schema) -> pa.Table:
    """Read a whole artifact and check it against its contract; raises `UserError` if it does not hold."""
    with _opened(path, schema) as file:
        table = _conformed(file.read(columns=schema.names), schema)
        table.validate(full=True)  # else text that is not UTF-8 would be found out only where it is used
        _validate(table, path)
        return table


def iter_batches(path: Path, schema: pa.Schema, rows: int = ROW_GROUP_ROWS) -> Iterator[pa.RecordBatch]:
    """Yield an artifact in batches of at most `rows` rows, so that memory does not grow with the file."""
    with _opened(path, schema) as file:
        first_row = 0
        for batch in file.iter_batches(batch_size=rows, columns=schema.names):
            batch.validate(full=True)
            _check_nulls(batch, schema, path, first_row)
            yield batch.cast(schema)
            first_row += batch.num_rows


def schema_of(path: Path, *schemas: pa.Schema) -> pa.Schema:
    """Return which of the schemas a file has; raises `UserError` if it has none of them."""
    with _opened(path) as file:
        found = file.schema_arrow
        for schema in schemas:
            if schema.names == found.names and schema.types == found.types:
                return schema
    raise UserError(
        f"{path} has the columns {', '.join(found.names)}, which are of no kind that is read here: run `dvc repro` to "
        "rebuild it"
    )


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
    options: dict[str, Any] = {
        "compression": "zstd",
        "compression_level": 3,
        "store_schema": False,
        "write_page_checksum": True,
    }
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
    temporary = temporary_path(path)
    clear_leftovers(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        temporary.replace(path)
    except BaseException as error:
        error.add_note(f"{WRITING}{path}")
        with suppress(OSError):
            temporary.unlink()
        raise


@contextmanager
def replaced_directory(path: Path) -> Iterator[Path]:
    """Yield an empty sibling folder that takes the place of `path` when the block ends without an exception."""
    temporary = temporary_path(path)
    clear_leftovers(path)
    try:
        temporary.mkdir(parents=True)
        yield temporary
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)  # its error says why it cannot go; that of `replace` would be that it is not empty
        temporary.replace(path)
    except BaseException as error:
        error.add_note(f"{WRITING}{path}")
        shutil.rmtree(temporary, ignore_errors=True)
        raise


@contextmanager
def _opened(path: Path, schema: Sequence[pa.Field] | pa.Schema = ()) -> Iterator[pq.ParquetFile]:
    if not path.is_file():
        raise UserError(f"{path} is missing: run `dvc repro` (or `dvc pull`) to make it")
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            for field in schema:
                types = [found.type for found in file.schema_arrow if found.name == field.name]
                if len(types) != 1 or not types[0].equals(field.type):
                    has = f"type {types[0]}" if len(types) == 1 else f"{len(types) or 'no'} such columns"
                    fault = f"column {field.name} should be {field.type} but has {has}"
                    raise UserError(f"{path}: {fault}: run `dvc repro` to rebuild it")
            yield file
    except MemoryError:  # Arrow's is an `ArrowException` as well
        raise
    except (pa.ArrowException, OSError) as error:  # OSError for a page whose checksum is wrong, too
        if isinstance(error, OSError) and error.errno is not None:  # the disk's own fault
            error.filename = error.filename or str(path)
            raise
        if os.strerror(errno.EAGAIN) in str(error):  # no memory for a thread's stack
            raise MemoryError(str(error)) from error
        reason = str(error).partition("\n")[0]  # the rest is internals of the Thrift library
        raise UserError(f"{path} is damaged ({reason}): delete it and run `dvc repro`") from error


def _conformed(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Take the schema's columns, types and nullability; nulls are left for `_validate`, which names their row."""
    columns = [table[field.name].cast(field.type) for field in schema]
    return pa.Table.from_arrays(columns, schema=schema)


def _check_nulls(rows: pa.Table | pa.RecordBatch, schema: pa.Schema, path: Path, first_row: int = 0) -> None:
    for field in schema:
        if not field.nullable and rows[field.name].null_count:
            row = first_row + pc.index(pc.is_null(rows[field.name]), True).as_py()
            raise UserError(f"{path}: column {field.name} is null in row {row}, but every row needs a value")


def _validate(table: pa.Table, path: Path, seen: set[str] | None = None) -> None:
    _check_nulls(table, table.schema, path)
    if seen is None:
        return
    for identifier in table["id"].to_pylist():
        if identifier in seen:
            raise UserError(f"{path}: id {identifier} occurs twice, but ids are unique")
        seen.add(identifier)
