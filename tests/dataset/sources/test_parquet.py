"""Parquet: only the columns that are used are read, and texts only once, however many rows have them."""

import gzip
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from reprotune.dataset.sources import parquet
from reprotune.dataset.sources.readers import SourceRow, read_rows
from reprotune.errors import UserError
from reprotune.params.document import Document
from tests.builders.datasets import normalizer_of

ROOT = Path(__file__).resolve().parents[3]
PARAMS = Document.read(ROOT / "params.yaml").fetch.dataset
USED = ("instruction", "input", "output", "category")
ROWS = 5

UNREADABLE: dict[str, Callable[[], pa.Array]] = {
    "date in the year 275,000": lambda: pa.array([10**8] * ROWS, pa.int32()).cast(pa.date32()),
    "moment beyond all years": lambda: pa.array([2**60] * ROWS, pa.int64()).cast(pa.timestamp("ms")),
    "zone that is none": lambda: pa.array([0] * ROWS, pa.int64()).cast(pa.timestamp("ms", tz="No/Where")),
    "duration": lambda: pa.array([2**62] * ROWS, pa.int64()).cast(pa.duration("s")),
    "field twice": lambda: pa.StructArray.from_arrays([pa.array([1] * ROWS)] * 2, names=["a", "a"]),
}


def written(tmp_path: Path, **columns: pa.Array) -> Path:
    texts = {name: pa.array([f"{name} {row}" for row in range(ROWS)]) for name in ("instruction", "output")}
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({**texts, **columns}), path)
    return path


def rows(path: Path, columns: tuple[str, ...] | None = USED) -> list[SourceRow]:
    return [row for batch in read_rows(path, path.name, "auto", columns) for row in batch]


@pytest.mark.parametrize("column", UNREADABLE.values(), ids=UNREADABLE)
def test_a_column_that_nobody_needs_is_not_read(tmp_path: Path, column: Callable[[], pa.Array]) -> None:
    found = rows(written(tmp_path, other=column()))
    assert found[1] == {"instruction": "instruction 1", "output": "output 1", "other": None}
    normalizer = normalizer_of(PARAMS)
    normalizer.normalize(found)
    assert normalizer.finish()["unused_columns"] == ["other"]


@pytest.mark.parametrize("column", UNREADABLE.values(), ids=UNREADABLE)
def test_a_cell_that_python_has_no_value_for_makes_its_row_unusable(
    tmp_path: Path, column: Callable[[], pa.Array]
) -> None:
    values = column()
    _, rejected = normalizer_of(PARAMS).normalize(rows(written(tmp_path, category=values)))
    assert {row["reason"] for row in rejected} == {f"category is not text but {values.type}"}
    assert "cannot be shown" in rejected[0]["raw"]


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())])
def test_texts_of_every_kind_are_read(tmp_path: Path, kind: pa.DataType) -> None:
    values = pa.array(["a", None, "", "ü", "a"]).cast(kind)
    assert [row["category"] for row in rows(written(tmp_path, category=values))] == ["a", None, "", "ü", "a"]  # type: ignore[index]


def test_without_a_wanted_column_rows_are_counted_all_the_same(tmp_path: Path) -> None:
    assert rows(written(tmp_path), ("question",)) == [{"instruction": None, "output": None}] * ROWS
    assert rows(written(tmp_path), None)[0] == {"instruction": "instruction 0", "output": "output 0"}


def test_a_text_that_many_rows_share_is_kept_once(tmp_path: Path) -> None:
    shared = pa.DictionaryArray.from_arrays(pa.array([0] * ROWS, pa.int32()), pa.array(["x" * 1_000_000]))
    found = rows(written(tmp_path, input=shared))
    assert len({id(row["input"]) for row in found}) == 1  # type: ignore[index]


def test_a_text_that_very_many_rows_share_ends_in_a_sentence_at_once(tmp_path: Path) -> None:
    """A file of 2 MB whose rows are 200 GB: not what is read would take all time, but what is done with each row."""
    count = 200_000
    shared = pa.DictionaryArray.from_arrays(pa.array([0] * count, pa.int32()), pa.array(["x y " * 250_000]))
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"instruction": shared, "output": [f"answer {row}" for row in range(count)]}), path)
    started = time.process_time()
    with pytest.raises(
        UserError, match=r"x\.parquet unfolds to more than 250 times its size, which is the limit: look"
    ):
        rows(path)
    assert time.process_time() - started < 10


def test_batches_of_texts_that_rows_share_are_bounded_in_bytes_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reprotune.dataset.sources.readers.BATCH_BYTES", 1000)
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"instruction": ["x" * 100] * 50, "output": ["y"] * 50}), path)
    batches = list(read_rows(path, path.name, "auto", USED))
    assert sum(map(len, batches)) == 50 and max(map(len, batches)) == 10


def test_long_rows_are_read_few_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of a batch is unfolded at once, before anything can be counted."""
    monkeypatch.setattr(parquet, "BATCH_BYTES", 1000)
    path = tmp_path / "x.parquet"
    letters = [f"{row:04}" * 25 for row in range(1000)]
    pq.write_table(pa.table({"instruction": letters}), path, use_dictionary=False, compression=None)
    assert 16 < parquet._batch_rows(pq.read_metadata(path), ["instruction"]) < 20
    assert parquet._batch_rows(pq.read_metadata(path), ["output"]) == parquet.BATCH_ROWS
    assert len(rows(path)) == 1000
    uneven = ["x" * 100_000] * 60 + letters
    pq.write_table(pa.table({"instruction": uneven}), path, use_dictionary=False, compression="zstd")
    assert parquet._batch_rows(pq.read_metadata(path), ["instruction"]) == parquet.FEW_ROWS
    assert len(rows(path)) == 1060


EMPTY_ROWS = {
    "null": lambda count: {"instruction": pa.nulls(count, pa.string())},
    "equal": lambda count: {"instruction": pa.array(["a"] * count), "output": pa.array(["b"] * count)},
    "unwanted": lambda count: {"other": pa.nulls(count, pa.int64())},
}


@pytest.mark.parametrize("columns", EMPTY_ROWS.values(), ids=EMPTY_ROWS)
def test_more_rows_than_bytes_are_refused_unread(
    tmp_path: Path, columns: Callable[[int], dict[str, pa.Array]], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table(columns(1_000_000)), path)
    monkeypatch.setattr(parquet, "_rows", None)
    with pytest.raises(UserError, match="unfolds to more than 100,000 rows of less than a byte each"):
        rows(path)


@pytest.mark.parametrize(
    "value", [b"x" * 100_000, ["x" * 50_000] * 2, {"a": "x" * 100_000}], ids=lambda value: type(value).__name__
)
def test_values_that_are_no_text_are_bounded_unread(tmp_path: Path, value: object) -> None:
    """Of these, Arrow keeps a copy for every row."""
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"instruction": [value] * 2000, "output": ["y"] * 2000}), path)
    with pytest.raises(
        UserError, match=r"column 'instruction' has the type .*, of which at most 64 MB are read: choose"
    ):
        rows(path)
    pq.write_table(pa.table({"instruction": [value] * 3, "output": ["y"] * 3}), path)
    assert [row["instruction"] for row in rows(path)] == [value] * 3  # type: ignore[index]


def test_pages_that_unfold_beyond_measure_are_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "UNPACKED_BYTES", 1 << 20)
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"instruction": ["x" * 20_000_000]}), path, compression="zstd", use_dictionary=False)
    with pytest.raises(UserError, match="column 'instruction' unfolds to more than 250 times its size"):
        rows(path)


def test_a_text_of_a_dictionary_has_the_limit_of_a_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "MOST_ROW_BYTES", 1000)
    with pytest.raises(UserError, match="a text has more than 1000 bytes, which is the limit"):
        rows(written(tmp_path, category=pa.array(["x" * 2000] * ROWS)))


def test_a_gzipped_file_has_the_limit_of_all_gzipped_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.parquet.gz"
    path.write_bytes(gzip.compress(written(tmp_path).read_bytes()))
    assert len(rows(path)) == ROWS
    monkeypatch.setattr("reprotune.dataset.sources.limits.UNPACKED_BYTES", 1 << 20)
    path.write_bytes(gzip.compress(b"PAR1" + bytes(20_000_000)))
    with pytest.raises(UserError, match="unfolds to more than 250 times its size"):
        rows(path)


def test_lists_and_objects_of_text_are_read_whatever_their_encoding(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"choices": ["a", None, "ü"], "arc": {"text": ["x", "y"], "n": 1}},
        {"choices": None, "arc": None},
        {"choices": [], "arc": {"text": None, "n": None}},
    ] * 5_000  # so many that all choices, were each as long as their dictionary, would be beyond the limit
    path = tmp_path / "x.parquet"
    for dictionary in (True, False):
        pq.write_table(pa.Table.from_pylist(rows), path, use_dictionary=dictionary)
        assert [row for batch in read_rows(path, "x.parquet", "auto") for row in batch] == rows


def test_a_text_in_lists_is_counted_each_time_and_kept_once(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    text = pa.DictionaryArray.from_arrays(pa.array([0] * 4_000, pa.int32()), ["x" * 100_000])
    pq.write_table(
        pa.table({"choices": pa.ListArray.from_arrays(pa.array(range(0, 4_001, 4), pa.int32()), text)}), path
    )
    with pytest.raises(UserError, match="unfolds to more than 250 times its size"):
        list(read_rows(path, "x.parquet", "auto"))
