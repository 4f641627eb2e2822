"""Rows of a Parquet file: only the columns that are used, text as its file has it, values that Python has.

A dictionary-encoded text is kept once, however many rows have it: in the other form a file of a megabyte can fill any
memory.
"""

import gzip
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from reprotune.dataset.sources.limits import (
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


@dataclass(frozen=True)
class NoValue:
    """A cell that Python has no value for, such as a date in the year 300,000; `kind` is its type in Arrow."""

    kind: str

    def __str__(self) -> str:
        return f"a value of type {self.kind} that cannot be shown"


def parquet_rows(file: OpenFile, name: str, meter: Meter, columns: Collection[str] | None) -> Iterator[dict[str, Any]]:
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
            texts = [column for column in wanted if _is_text(schema.field(column).type)]
            source.seek(0)
            with pq.ParquetFile(source, read_dictionary=texts) as parquet:
                _check_extent(parquet.metadata, wanted, name)
                yield from _rows(parquet, names, wanted, name)
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            raise UserError(f"{name} is not a readable Parquet file ({error}): fetch or write it again") from error


def _rows(parquet: pq.ParquetFile, names: list[str], wanted: list[str], name: str) -> Iterator[dict[str, Any]]:
    empty = dict.fromkeys(names)
    if not wanted:  # of no column, Parquet gives no rows
        yield from (dict(empty) for _ in range(parquet.metadata.num_rows))
        return
    for batch in parquet.iter_batches(batch_size=BATCH_ROWS, columns=wanted):
        cells = [_cells(batch.column(column), name) for column in wanted]
        for values in zip(*cells, strict=True):
            yield empty | dict(zip(wanted, values, strict=True))


def _check_extent(metadata: pq.FileMetaData, wanted: list[str], name: str) -> None:
    """Refuse a file whose pages unfold to far more than text does: each is unfolded as a whole."""
    for group in (metadata.row_group(number) for number in range(metadata.num_row_groups)):
        for column in (group.column(number) for number in range(group.num_columns)):
            size = column.total_uncompressed_size
            most = min(UNPACKED_TIMES * column.total_compressed_size, MOST_ROW_BYTES * max(1, group.num_rows))
            if column.path_in_schema.partition(".")[0] in wanted and size > max(UNPACKED_BYTES, most):
                raise UserError(
                    f"{name}: column {column.path_in_schema!r} unfolds to more than {UNPACKED_TIMES} times its size, "
                    f"or has rows of more than {size_words(MOST_ROW_BYTES)}, which is the limit: look at what is in it"
                )


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


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
        kept = _cells(column.dictionary, name)
        if any(isinstance(text, str) and len(text) > MOST_ROW_BYTES for text in kept):
            raise UserError(
                f"{name}: a text has more than {size_words(MOST_ROW_BYTES)}, which is the limit: shorten it"
            )
        return [None if place is None else kept[place] for place in column.indices.to_pylist()]
    try:
        values: list[Any] = column.to_pylist()
    except UnicodeDecodeError:
        raise
    except (ValueError, ArithmeticError, LookupError, TypeError, pa.ArrowException):
        values = [_cell(scalar) for scalar in column]
    return values


def _cell(scalar: pa.Scalar) -> Any:
    try:
        return scalar.as_py()
    except (ValueError, ArithmeticError, LookupError, TypeError, pa.ArrowException):
        return NoValue(str(scalar.type))
