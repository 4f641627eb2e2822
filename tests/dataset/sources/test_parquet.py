"""Parquet: only the columns that are used are read, within a limit of memory, whatever the file unfolds to."""

import gzip
import subprocess
import sys
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
from reprotune.memory import STATM
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


def test_a_text_that_very_many_rows_share_ends_in_a_sentence_at_once(tmp_path: Path) -> None:
    """A file of 2 MB whose rows are 20 GB: not what is read would take all time, but what is done with each row."""
    count = 200_000
    shared = pa.DictionaryArray.from_arrays(pa.array([0] * count, pa.int32()), pa.array(["x y " * 25_000]))
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
    assert parquet._batch_rows(pq.read_metadata(path), ["output"]) == parquet.MANY_ROWS
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


CONVERSATION = [{"role": "user", "content": "What is it?"}, {"role": "assistant", "content": "It is one."}]


def test_conversations_are_read_however_many_there_are(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    texts = [
        [turn | {"content": f"{turn['content']} {row} {'and so on ' * 50}"} for turn in CONVERSATION]
        for row in range(9000)
    ]
    pq.write_table(pa.table({"messages": texts}), path)
    assert [row["messages"] for row in rows(path, ("messages",))] == texts  # type: ignore[index]


@pytest.mark.parametrize("encoding", ["PLAIN", "DELTA_BYTE_ARRAY", "DELTA_LENGTH_BYTE_ARRAY"])
def test_texts_of_every_encoding_are_read(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "x.parquet"
    texts = [f"text {row}" for row in range(2000)]
    pq.write_table(pa.table({"input": texts}), path, use_dictionary=False, column_encoding={"input": encoding})
    assert [row["input"] for row in rows(path)] == texts  # type: ignore[index]


def test_a_row_group_without_rows_ends_nothing(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    table = pa.table({"input": ["a", "b"]})
    with pq.ParquetWriter(path, table.schema) as writer:
        for piece in (table.slice(0, 0), table, table.slice(0, 0), table):
            writer.write_table(piece)
    assert [row["input"] for row in rows(path)] == ["a", "b"] * 2  # type: ignore[index]


SHARED: dict[str, pa.DataType] = {
    "texts": pa.string(),
    "bytes": pa.binary(),
    "bytes of one length": pa.binary(1_000_000),
    "views": pa.string_view(),
    "dictionaries": pa.dictionary(pa.int32(), pa.string()),
    "lists": pa.list_(pa.string()),
    "lists of dictionaries": pa.list_(pa.dictionary(pa.int32(), pa.string())),
    "structs": pa.struct([("a", pa.dictionary(pa.int32(), pa.string()))]),
    "maps": pa.map_(pa.string(), pa.dictionary(pa.int32(), pa.string())),
}


def shared_value(kind: pa.DataType) -> object:
    """Return a value of a megabyte."""
    long = "x" * 1_000_000
    if pa.types.is_map(kind):
        return [("a", long)]
    if pa.types.is_nested(kind):
        return {"a": long} if pa.types.is_struct(kind) else [long]
    return long.encode() if "binary" in str(kind) else long


@pytest.mark.parametrize("kind", SHARED.values(), ids=SHARED)
def test_a_value_that_many_rows_have_counts_for_each(tmp_path: Path, kind: pa.DataType) -> None:
    """Files of a few kilobytes, whose rows are 100 MB."""
    path = tmp_path / "x.parquet"
    table = pa.table({"instruction": pa.array([shared_value(kind)] * 100, kind), "output": ["y"] * 100})
    pq.write_table(table, path, compression="zstd")
    assert path.stat().st_size < 100_000
    with pytest.raises(UserError, match=r"x\.parquet unfolds to more than 250 times its size"):
        rows(path)
    pq.write_table(table.slice(0, 3), path)
    assert [row["instruction"] for row in rows(path)] == [shared_value(kind)] * 3  # type: ignore[index]


LARGE: dict[str, Callable[[Path], None]] = {
    "one page": lambda path: pq.write_table(
        pa.table({"instruction": [f"{row:06}" * 400_000 for row in range(26)]}),
        path,
        compression="zstd",
        use_dictionary=False,
        data_page_size=1 << 30,
    ),
    "beginnings that are the same": lambda path: pq.write_table(
        pa.table({"instruction": [f"{'x' * 2_000_000}{row}" for row in range(60)]}),
        path,
        use_dictionary=False,
        column_encoding={"instruction": "DELTA_BYTE_ARRAY"},
    ),
    "one list of nothing": lambda path: pq.write_table(
        pa.table({"instruction": pa.ListArray.from_arrays([0, 8_000_000], pa.nulls(8_000_000, pa.string()))}), path
    ),
}


IN_A_FRESH_PROCESS = """
import resource, sys
from pathlib import Path
import pyarrow as pa
from reprotune.dataset.sources import parquet
from reprotune.dataset.sources.readers import read_rows
from reprotune.errors import UserError

parquet.MOST_MEMORY = 24 << 20
path = Path(sys.argv[1])
try:
    print(sum(map(len, read_rows(path, path.name, "auto", ("instruction",)))), "rows")
except UserError as error:
    print(error)
assert pa.default_memory_pool().backend_name != "system"
assert resource.getrlimit(resource.RLIMIT_AS)[0] == resource.RLIM_INFINITY
"""
"""The limit counts what is taken from the system; a process that has done other work may have enough memory already."""


@pytest.mark.skipif(not STATM.exists(), reason="only Linux limits memory")
@pytest.mark.parametrize("write", LARGE.values(), ids=LARGE)
def test_what_takes_too_much_memory_at_a_time_ends_in_a_sentence(tmp_path: Path, write: Callable[[Path], None]) -> None:
    path = tmp_path / "x.parquet"
    write(path)
    done = subprocess.run(
        [sys.executable, "-c", IN_A_FRESH_PROCESS, str(path)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("x.parquet: 512 rows or less take more than 24 MB of memory, which is")


@pytest.mark.skipif(not STATM.exists(), reason="only Linux limits memory")
def test_a_large_row_group_is_not_read_as_a_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One of 100 MB, whose texts are all different, is read within 48 MB."""
    path = tmp_path / "x.parquet"
    texts = [f"{row} {'and so on ' * 50}" for row in range(200_000)]
    pq.write_table(pa.table({"instruction": texts}), path, compression="none")
    assert path.stat().st_size > 100_000_000
    monkeypatch.setattr(parquet, "MOST_MEMORY", 48 << 20)
    assert sum(len(batch) for batch in read_rows(path, path.name, "auto", USED)) == 200_000


def test_pages_that_unfold_beyond_measure_are_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "UNPACKED_BYTES", 1 << 20)
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"instruction": ["x" * 20_000_000]}), path, compression="zstd", use_dictionary=False)
    with pytest.raises(UserError, match="column 'instruction' unfolds to more than 250 times its size"):
        rows(path)


@pytest.mark.parametrize("value", ["x" * 2000, ["x" * 2000]], ids=["text", "list"])
def test_a_row_has_the_limit_of_all_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: object) -> None:
    monkeypatch.setattr("reprotune.dataset.sources.limits.MOST_ROW_BYTES", 1000)
    monkeypatch.setattr(parquet, "MOST_ROW_BYTES", 1000)
    with pytest.raises(UserError, match=r"x\.parquet: a row has more than 1000 bytes, which is the limit: shorten it"):
        rows(written(tmp_path, category=pa.array([value] * ROWS)))


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
