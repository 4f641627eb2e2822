"""Parquet: only the columns that are used are read, and texts only once, however many rows have them."""

import gzip
from collections.abc import Callable
from pathlib import Path

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
