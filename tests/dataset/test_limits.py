"""Files that unfold without an end, rows without an end, columns beyond number: each has a limit with a sentence."""

import gzip
import io
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from reprotune.dataset import limits, readers
from reprotune.dataset.readers import SourceRow, Unreadable, read_rows
from reprotune.dataset.records import RAW_CHARS, Normalizer
from reprotune.errors import UserError
from reprotune.params.document import Document

ROOT = Path(__file__).resolve().parents[2]
PARAMS = Document.read(ROOT / "params.yaml").fetch.dataset
ROW = b'{"instruction": "i", "output": "o"}\n'


def rows(path: Path) -> Iterator[SourceRow]:
    for batch in read_rows(path, path.name, "auto"):
        yield from batch


def refusal(tmp_path: Path, name: str, content: bytes) -> str:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError) as error:
        list(rows(tmp_path / name))
    return str(error.value)


def folded(*parts: tuple[bytes, int]) -> bytes:
    """Return gzipped parts, each repeated so many times."""
    content = io.BytesIO()
    with gzip.GzipFile(fileobj=content, mode="wb", mtime=0) as file:
        for part, times in parts:
            for _ in range(times):
                file.write(part)
    return content.getvalue()


@pytest.fixture(autouse=True)
def lower(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits that a test reaches in no time."""
    monkeypatch.setattr(limits, "MOST_ROW_BYTES", 1 << 20)
    monkeypatch.setattr(limits, "UNPACKED_BYTES", 4 << 20)
    monkeypatch.setattr(limits, "MOST_BLANK_LINES", 1000)
    monkeypatch.setattr(readers, "MOST_JSON_BYTES", 2 << 20)


@pytest.mark.parametrize("name", ["x.jsonl", "x.jsonl.gz", "x.csv", "x.tsv.gz"])
def test_a_row_without_an_end_is_refused_before_it_fills_the_memory(tmp_path: Path, name: str) -> None:
    content = (b"instruction,output\n" if "csv" in name else b"i\to\n" if "tsv" in name else b"") + b"x" * (3 << 20)
    said = refusal(tmp_path, name, gzip.compress(content) if name.endswith(".gz") else content)
    assert "has more than 1 MB, which is the limit: look for a missing line break or closing quote" in said


@pytest.mark.parametrize("body", [b'"' + b"x\n" * (1 << 20), b'"a\n",' * 400_000], ids=["open quote", "fields"])
def test_a_csv_row_of_many_lines_has_the_same_limit(tmp_path: Path, body: bytes) -> None:
    assert "has more than 1 MB" in refusal(tmp_path, "x.csv", b"instruction,output\n" + body)


def test_a_row_as_long_as_the_limit_is_read(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_bytes(ROW + json.dumps({"output": "x" * 1_000_000}).encode() + b"\n" + ROW)
    assert len(list(rows(tmp_path / "x.jsonl"))) == 3


def test_a_file_that_unfolds_beyond_measure_is_refused(tmp_path: Path) -> None:
    long = ROW.replace(b'o"}', b"o" * 10_000 + b'"}')
    said = refusal(tmp_path, "x.jsonl.gz", folded((long, 10_000)))
    assert "unfolds to more than 250 times its size, which is the limit: look at what is in it" in said


def test_an_honest_file_of_the_same_size_is_read(tmp_path: Path) -> None:
    lines = b"".join(
        json.dumps({"instruction": f"i{n}", "output": f"o{n * 7919}"}).encode() + b"\n" for n in range(20000)
    )
    (tmp_path / "x.jsonl.gz").write_bytes(folded((lines, 10)))
    assert sum(1 for _ in rows(tmp_path / "x.jsonl.gz")) == 200_000


@pytest.mark.parametrize(
    ("name", "line"),
    [("x.jsonl.gz", b"{}\n"), ("x.csv.gz", b"a,b\n"), ("x.tsv.gz", b"a\tb\n"), ("x.jsonl.gz", b"1\n \n")],
)
def test_very_many_tiny_lines_are_refused(tmp_path: Path, name: str, line: bytes) -> None:
    """Far below the limit for bytes, and a million rows all the same."""
    started = time.process_time()
    said = refusal(tmp_path, name, folded((line, 1_000_000)))
    assert said.startswith(
        f"{name} unfolds to more than 100,000 rows of less than a byte each, which is the limit: look"
    )
    assert time.process_time() - started < 10


def test_very_many_tiny_values_of_a_packed_list_are_refused(tmp_path: Path) -> None:
    content = gzip.compress(b"[" + b"{}," * 400_000 + b"{}]")
    assert "unfolds to more than 100,000 rows of less" in refusal(tmp_path, "x.json.gz", content)
    (tmp_path / "x.json").write_bytes(gzip.decompress(content))
    assert len(list(rows(tmp_path / "x.json"))) == 400_001


def test_blank_lines_without_an_end_are_refused(tmp_path: Path) -> None:
    assert "more than 1,000 blank lines in a row end in line 1002" in refusal(tmp_path, "x.jsonl", ROW + b"\n" * 5000)


def test_json_is_bounded_because_it_is_read_as_a_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "has more than 2 MB, which is the limit for JSON" in refusal(tmp_path, "x.json", b"[" + b" " * (3 << 20))
    monkeypatch.setattr("reprotune.files.MOST_VALUES", 1000)
    assert "values, which is the limit" in refusal(tmp_path, "x.json", b"[" + b"[]," * 1000 + b"[]]")
    assert "line 3 is not UTF-8 (byte 2 of the line)" in refusal(tmp_path, "y.json", b'[\n\n"\xff"]')


def test_columns_are_bounded(tmp_path: Path) -> None:
    header = ",".join(f"c{number}" for number in range(1001)).encode()
    assert "has 1,001 columns, and 1,000 is the limit" in refusal(tmp_path, "x.csv", header + b"\n")


def test_keys_of_json_rows_are_bounded(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_bytes(ROW + json.dumps({f"k{number}": 1 for number in range(1001)}).encode())
    _, wide = rows(tmp_path / "x.jsonl")
    assert isinstance(wide, Unreadable) and wide.reason == "more than 1,000 keys"
    normalizer = Normalizer(PARAMS, "it")
    with pytest.raises(UserError, match=r"it: the first 999 rows have more than 1,000 different keys"):
        normalizer.normalize([{"instruction": "i", "output": "o", f"k{number}": 1} for number in range(2000)])


def test_a_key_that_occurs_twice_among_many_is_found_at_once(tmp_path: Path) -> None:
    pairs = ",".join(f'"k{number}":1' for number in range(60_000))
    (tmp_path / "x.jsonl").write_text(f'{{{pairs},"k59999":2}}\n')
    [row] = rows(tmp_path / "x.jsonl")
    assert isinstance(row, Unreadable) and row.reason == "the key 'k59999' occurs twice"


def test_batches_are_bounded_in_bytes_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readers, "BATCH_BYTES", 1000)
    (tmp_path / "x.jsonl").write_bytes(ROW * 100)
    batches = list(read_rows(tmp_path / "x.jsonl", "x.jsonl", "auto"))
    assert sum(map(len, batches)) == 100 and max(map(len, batches)) < 40


def test_of_a_rejected_row_a_bounded_text_is_kept() -> None:
    normalizer = Normalizer(PARAMS, "it")
    long = "x" * 1_000_000
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    _, rejected = normalizer.normalize(
        [{"instruction": long}, Unreadable("because", long), {"instruction": "i", "deep": deep}, {"instruction": "i"}]
    )
    assert [len(row["raw"]) <= RAW_CHARS for row in rejected] == [True] * 4
    assert rejected[2]["raw"] == '"(nested too deep)"' and rejected[3]["raw"] == '{"instruction": "i"}'


def test_a_category_has_the_limit_of_other_texts() -> None:
    _, [rejected] = Normalizer(PARAMS, "it").normalize(
        [{"instruction": "i", "output": "o", "category": "c" * (PARAMS.max_chars + 1)}]
    )
    assert rejected["reason"] == f"category is longer than max_chars ({PARAMS.max_chars})"
