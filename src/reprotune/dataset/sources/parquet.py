"""Rows of a Parquet file: only the columns that are used, values that Python has, a few hundred rows at a time.

Parquet keeps a value once, however many rows have it, and unfolds whole pages: a file of a megabyte can fill any
memory, in more ways than its header tells. So each batch is read under a limit of memory, and every value is counted
for every row, because whatever is done with the rows takes time for each.
"""

import gzip
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from reprotune.dataset.sources.limits import (
    BATCH_BYTES,
    MOST_ROW_BYTES,
    UNPACKED_BYTES,
    UNPACKED_TIMES,
    Meter,
    OpenFile,
    checked_header,
)
from reprotune.errors import UserError
from reprotune.files import size_words
from reprotune.memory import limited_memory

MOST_MEMORY = 768 << 20
"""Bytes that reading one batch may take."""
MANY_ROWS = 512
"""Rows that are read at a time: more are no faster, and all of them may have the same text of a megabyte, which is the
most that writers keep once."""
FEW_ROWS = 16
"""Rows that are read at a time where they may be very long."""
USUAL_TIMES = 20
"""Text that unfolds to more than so many times its size is not usual, and may hide very long rows among short ones."""
BUFFER_BYTES = 1 << 20
"""Bytes of a column that are read from the disk at a time; otherwise it would be all of a row group."""

Value = TypeVar("Value")


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
        source.seek(0)
        limit = _Limit(name)
        try:
            with limit.within(lambda: pq.ParquetFile(source, buffer_size=BUFFER_BYTES, pre_buffer=False)) as parquet:
                names = checked_header(parquet.schema_arrow.names, name)
                wanted = [column for column in names if columns is None or column in columns]
                meter.check_rows(parquet.metadata.num_rows)
                _check_extent(parquet.metadata, wanted, name)
                yield from _rows(parquet, names, wanted, meter, limit)
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            raise UserError(f"{name} is not a readable Parquet file ({error}): fetch or write it again") from error


class _Limit:
    """Keeps what is read of a file within `MOST_MEMORY`, whatever its pages unfold to."""

    def __init__(self, name: str) -> None:
        self._name = name
        # Arrow's other allocator has a gigabyte in reserve, which no limit counts.
        self._pool = pa.system_memory_pool()
        self._before = self._pool.bytes_allocated()

    def within(self, step: Callable[[], Value]) -> Value:
        """Return what `step` returns; raises `UserError` if that takes too much."""
        held = self._pool.bytes_allocated() - self._before  # pages that the steps before have left open
        usual = pa.default_memory_pool()
        pa.set_memory_pool(self._pool)
        try:
            with limited_memory(max(0, MOST_MEMORY - held)) as own:
                try:
                    return step()
                except MemoryError as error:
                    if not own:
                        raise
                    raise UserError(
                        f"{self._name}: {MANY_ROWS} rows or less take more than {size_words(MOST_MEMORY)} of memory, "
                        "which is the limit: look at what is in it, and write it again in smaller pages if that is "
                        "right"
                    ) from error
        finally:
            pa.set_memory_pool(usual)


def _rows(
    parquet: pq.ParquetFile, names: list[str], wanted: list[str], meter: Meter, limit: _Limit
) -> Iterator[dict[str, Any]]:
    empty = dict.fromkeys(names)
    if not wanted:  # of no column, Parquet gives no rows
        yield from (dict(empty) for _ in range(parquet.metadata.num_rows))
        return
    # Without threads: where a library cannot start one, it ends the process.
    batches = parquet.iter_batches(_batch_rows(parquet.metadata, wanted), columns=wanted, use_threads=False)
    while (rows := limit.within(lambda: _cells(next(batches, None), meter))) is not None:
        for size, values in rows:
            meter.add_values(size)
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

    What the header says is enough for honest files; the others have the limit.
    """
    most = MANY_ROWS
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


class _Counted:
    """A file to write to that counts what is written."""

    def __init__(self, write: Callable[[bytes], int], meter: Meter) -> None:
        self._write, self._meter, self._size = write, meter, 0

    def write(self, content: bytes) -> int:
        self._size += len(content)
        self._meter.check_unpacked(self._size)
        return self._write(content)


def _cells(batch: pa.RecordBatch | None, meter: Meter) -> list[tuple[int, tuple[Any, ...]]] | None:
    """Return for each row its part of the bytes and its values, `NoValue` where Python has none; null at the end."""
    if batch is None:
        return None
    kinds = [(column, _unshared(column.type)) for column in batch.columns]
    columns = [column if column.type == kind else column.cast(kind) for column, kind in kinds]
    size = sum(column.nbytes for column in columns)
    if size > MOST_ROW_BYTES:
        for row in range(batch.num_rows):
            meter.check_row(sum(column.slice(row, 1).nbytes for column in columns))
    return [(size // len(batch), values) for values in zip(*map(_values, columns), strict=True)]


def _unshared(kind: pa.DataType) -> pa.DataType:
    """Return the type with a copy of a value for each row that has it, which alone has a size that can be counted."""
    plain = kind
    if pa.types.is_dictionary(kind):
        plain = _unshared(kind.value_type)
    elif pa.types.is_string_view(kind):
        plain = pa.large_string()
    elif pa.types.is_binary_view(kind):
        plain = pa.large_binary()
    elif pa.types.is_map(kind):
        plain = pa.map_(_unshared(kind.key_type), _unshared(kind.item_type))
    elif pa.types.is_struct(kind):
        plain = pa.struct([field.with_type(_unshared(field.type)) for field in kind])
    elif pa.types.is_nested(kind) and kind.num_fields == 1:  # a list of some kind
        items = kind.value_field.with_type(_unshared(kind.value_type))
        plain = pa.list_(items, kind.list_size) if pa.types.is_fixed_size_list(kind) else pa.large_list(items)
    return plain


def _values(column: pa.Array) -> list[Any]:
    try:
        values: list[Any] = column.to_pylist()
    except (UnicodeDecodeError, MemoryError):
        raise
    except (ValueError, ArithmeticError, LookupError, TypeError, pa.ArrowException):
        values = [_cell(scalar) for scalar in column]
    return values


def _cell(scalar: pa.Scalar) -> Any:
    try:
        return scalar.as_py()
    except MemoryError:
        raise
    except (ValueError, ArithmeticError, LookupError, TypeError, pa.ArrowException):
        return NoValue(str(scalar.type))
