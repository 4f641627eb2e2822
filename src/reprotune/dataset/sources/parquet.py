"""Rows of a Parquet file: only the columns that are used, text as its file has it, values that Python has.

A dictionary-encoded text is kept once, however many rows have it: in the other form a file of a megabyte can fill any
memory. It is counted for every row, because whatever is done with the rows takes time for each.
"""

import gzip
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from reprotune.dataset.sources.limits import (
    BATCH_BYTES,
    BATCH_ROWS,
    MOST_ROW_BYTES,
    UNPACKED_BYTES,
    UNPACKED_TIMES,
    Meter,
    OpenFile,
    checked_header,
)
from reprotune.errors import UserError
from reprotune.files import size_words

FEW_ROWS = 16
"""Rows that are read at a time where they may be very long."""
REFERENCE_BYTES = 8
USUAL_TIMES = 20
"""Text that unfolds to more than so many times its size is not usual, and may hide very long rows among short ones."""


@dataclass(frozen=True)
class NoValue:
    """A cell that Python has no value for, such as a date in the year 300,000; `kind` is its type in Arrow."""

    kind: str

    def __str__(self) -> str:
        return f"a value of type {self.kind} that cannot be shown"


def parquet_rows(
    file: OpenFile, name: str, meter: Meter, columns: Collection[str] | None, key: str
) -> Iterator[dict[str, Any]]:
    """Yield the rows; columns that are not among `columns` (null: all) are null in each.

    Raises `UserError` if the file is damaged, or larger inside than any honest one.
    """
    with tempfile.TemporaryFile() as unpacked:
        if isinstance(file, gzip.GzipFile):  # Parquet is read from its end, so a gzipped file is unpacked first
            shutil.copyfileobj(file, _Counted(unpacked.write, meter))
        source = unpacked if isinstance(file, gzip.GzipFile) else file
        try:
            source.seek(0)
            schema = pq.read_schema(source)
            names = checked_header(schema.names, name)
            wanted = [column for column in names if columns is None or column in columns]
            texts = _text_paths(source, schema, wanted)
            source.seek(0)
            with pq.ParquetFile(source, read_dictionary=sorted(texts)) as parquet:
                meter.check_rows(parquet.metadata.num_rows)
                _check_extent(parquet.metadata, wanted, name)
                _check_types(parquet.metadata, schema, wanted, texts, name, key)
                yield from _rows(parquet, names, wanted, name, meter)
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            raise UserError(f"{name} is not a readable Parquet file ({error}): fetch or write it again") from error


def _rows(
    parquet: pq.ParquetFile, names: list[str], wanted: list[str], name: str, meter: Meter
) -> Iterator[dict[str, Any]]:
    empty = dict.fromkeys(names)
    if not wanted:  # of no column, Parquet gives no rows
        yield from (dict(empty) for _ in range(parquet.metadata.num_rows))
        return
    for batch in parquet.iter_batches(batch_size=_batch_rows(parquet.metadata, wanted), columns=wanted):
        meter.add_values(sum(column.nbytes for column in batch.columns if not _holds_dictionary(column.type)))
        cells = [_cells(batch.column(column), name) for column in wanted]
        for values in zip(*cells, strict=True):
            meter.add_values(sum(map(_text_size, values)))
            yield empty | dict(zip(wanted, values, strict=True))


def _chunks(metadata: pq.FileMetaData, wanted: list[str]) -> Iterator[tuple[str, int, pq.ColumnChunkMetaData]]:
    """Yield the pieces of which the wanted columns consist: column, rows of its row group, piece."""
    for group in (metadata.row_group(number) for number in range(metadata.num_row_groups)):
        for chunk in (group.column(number) for number in range(group.num_columns)):
            column = chunk.path_in_schema.partition(".")[0]
            if column in wanted:
                yield column, group.num_rows, chunk


def _batch_rows(metadata: pq.FileMetaData, wanted: list[str]) -> int:
    """Return how many rows to read at a time: fewer where they are long, few where many long ones may stand together.

    A batch costs as much as reading a thousand rows.
    """
    most = BATCH_ROWS
    for _, rows, chunk in _chunks(metadata, wanted):
        size = chunk.total_uncompressed_size
        if size > 2 * BATCH_BYTES:  # else it does not matter how long its rows are
            even = size <= USUAL_TIMES * chunk.total_compressed_size
            most = min(most, max(FEW_ROWS, 2 * BATCH_BYTES * rows // size) if even else FEW_ROWS)
    return most


def _check_extent(metadata: pq.FileMetaData, wanted: list[str], name: str) -> None:
    """Refuse a file whose pages unfold to far more than text does: each is unfolded as a whole."""
    for _, rows, chunk in _chunks(metadata, wanted):
        most = min(UNPACKED_TIMES * chunk.total_compressed_size, MOST_ROW_BYTES * max(1, rows))
        if chunk.total_uncompressed_size > max(UNPACKED_BYTES, most):
            raise UserError(
                f"{name}: column {chunk.path_in_schema!r} unfolds to more than {UNPACKED_TIMES} times its size, "
                f"or has rows of more than {size_words(MOST_ROW_BYTES)}, which is the limit: look at what is in it"
            )


def _check_types(
    metadata: pq.FileMetaData, schema: pa.Schema, wanted: list[str], texts: set[str], name: str, key: str
) -> None:
    """Refuse columns that could fill the memory: only text is kept once, however many rows have it.

    Lists of text, whose paths are among `texts`, take the room of their references.
    """
    for column, _, chunk in _chunks(metadata, wanted):
        kind = schema.field(column).type
        varies = pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind)
        shared = any("DICTIONARY" in encoding for encoding in chunk.encodings)
        one = REFERENCE_BYTES if chunk.path_in_schema in texts else chunk.total_uncompressed_size
        if varies and shared and chunk.num_values * one > UNPACKED_BYTES:
            raise UserError(
                f"{name}: column {column!r} has the type {kind}, of which at most {size_words(UNPACKED_BYTES)} are "
                f"read: choose a column of text in {key}.columns"
            )


def _text_paths(source: OpenFile | IO[bytes], schema: pa.Schema, wanted: list[str]) -> set[str]:
    """Return the columns of text, and the paths to the text in lists and objects, e.g. `choices.list.element`."""
    found = {column for column in wanted if _is_text(schema.field(column).type)}
    source.seek(0)
    leaves = pq.read_metadata(source).schema
    for leaf in (leaves.column(number) for number in range(len(leaves))):
        column = leaf.path.partition(".")[0]
        if column in wanted and pa.types.is_nested(schema.field(column).type) and leaf.logical_type.type == "STRING":
            found.add(leaf.path)
    return found


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _holds_dictionary(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind) or pa.types.is_list(kind):
        return any(_holds_dictionary(kind.field(place).type) for place in range(kind.num_fields))
    return bool(pa.types.is_dictionary(kind))


def _text_size(value: Any) -> int:
    if isinstance(value, list):
        return sum(map(_text_size, value))
    if isinstance(value, dict):
        return sum(map(_text_size, value.values()))
    return len(value) if isinstance(value, str) else 0


class _Counted:
    """A file to write to that counts what is written."""

    def __init__(self, write: Callable[[bytes], int], meter: Meter) -> None:
        self._write, self._meter, self._size = write, meter, 0

    def write(self, content: bytes) -> int:
        self._size += len(content)
        self._meter.check_unpacked(self._size)
        return self._write(content)


def _cells(column: pa.Array, name: str) -> list[Any]:
    """Return the values of a column, `NoValue` where there is none."""
    if isinstance(column, pa.DictionaryArray):
        # only those of these rows: the dictionary may be that of many batches
        places = column.indices.unique().drop_null()
        texts = _cells(column.dictionary.take(places), name)
        if any(isinstance(text, str) and len(text) > MOST_ROW_BYTES for text in texts):
            raise UserError(
                f"{name}: a text has more than {size_words(MOST_ROW_BYTES)}, which is the limit: shorten it"
            )
        kept: dict[Any, Any] = {None: None} | dict(zip(places.to_pylist(), texts, strict=True))
        return [kept[place] for place in column.indices.to_pylist()]
    if _holds_dictionary(column.type):
        return _nested_cells(column, name)
    try:
        values: list[Any] = column.to_pylist()
    except UnicodeDecodeError:
        raise
    except (ValueError, ArithmeticError, LookupError, TypeError, pa.ArrowException):
        values = [_cell(scalar) for scalar in column]
    return values


def _nested_cells(column: pa.Array, name: str) -> list[Any]:
    """Return the values of a column of lists or objects in which a text that occurs often is one Python object."""
    if isinstance(column, pa.StructArray):
        keys = [field.name for field in column.type]
        parts = [_cells(column.field(place), name) for place in range(len(keys))]
        rows = zip(*parts, strict=True)
        return [
            dict(zip(keys, row, strict=True)) if valid.as_py() else None
            for row, valid in zip(rows, column.is_valid(), strict=True)
        ]
    values = iter(_cells(column.flatten(), name))
    return [None if size is None else list(islice(values, size)) for size in column.value_lengths().to_pylist()]


def _cell(scalar: pa.Scalar) -> Any:
    try:
        return scalar.as_py()
    except (ValueError, ArithmeticError, LookupError, TypeError, pa.ArrowException):
        return NoValue(str(scalar.type))
