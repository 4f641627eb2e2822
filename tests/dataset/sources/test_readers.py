"""Every format that can be read, plain and gzipped, and one clear sentence for every kind of wrong file."""

import csv
import gzip
import hashlib
import io
import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reprotune.dataset.sources import readers as sources
from reprotune.dataset.sources.readers import SourceRow, Unreadable, read_rows
from reprotune.errors import UserError

ROWS = [
    {"instruction": "Say hi, please.", "input": "", "output": 'He said "hi"\tonce'},
    {"instruction": "Übersetze 猫", "input": "two\nlines", "output": "кот"},
]


def as_delimited(rows: list[dict[str, str]], delimiter: str) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, rows[0].keys(), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def as_parquet(rows: list[dict[str, str]]) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), file)
    return file.getvalue()


ENCODERS: dict[str, Callable[[list[dict[str, str]]], bytes]] = {
    "json": lambda rows: json.dumps(rows, ensure_ascii=False, indent=1).encode(),
    "jsonl": lambda rows: "\n".join(json.dumps(row, ensure_ascii=False) for row in rows).encode(),
    "csv": lambda rows: as_delimited(rows, ","),
    "tsv": lambda rows: as_delimited(rows, "\t"),
    "parquet": as_parquet,
}


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., list[SourceRow]]:
    """Write bytes to a file and read them as rows, under the name that the user would give."""

    def read(content: bytes, name: str = "rows", kind: str = "auto") -> list[SourceRow]:
        path = tmp_path / "file"
        path.write_bytes(content)
        return [row for batch in read_rows(path, name, kind) for row in batch]

    return read


@pytest.mark.parametrize("kind", ENCODERS)
def test_formats(read: Callable[..., list[SourceRow]], kind: str) -> None:
    content = ENCODERS[kind](ROWS)
    assert read(content, kind=kind) == ROWS
    assert read(content, f"some/folder/Data.{kind.upper()}") == ROWS
    assert read(content, f"https://example.org/a%20b.{kind}?download=true#part") == ROWS
    assert read(content, "no-ending") == ROWS
    assert read(gzip.compress(content, mtime=0), f"data.{kind}.gz") == ROWS
    assert read(gzip.compress(content, mtime=0), "no-ending") == ROWS


@pytest.mark.parametrize("kind", ["json", "jsonl", "csv", "tsv"])
def test_byte_order_mark_is_no_text(read: Callable[..., list[SourceRow]], kind: str) -> None:
    assert read(b"\xef\xbb\xbf" + ENCODERS[kind](ROWS), f"data.{kind}") == ROWS


texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)


@given(rows=st.lists(st.fixed_dictionaries({"instruction": texts, "output": texts}), min_size=1, max_size=5))
@pytest.mark.parametrize("kind", ENCODERS)
def test_any_text_survives(tmp_path_factory: pytest.TempPathFactory, kind: str, rows: list[dict[str, str]]) -> None:
    path = tmp_path_factory.getbasetemp() / f"any.{kind}"
    path.write_bytes(ENCODERS[kind](rows))
    assert [row for batch in read_rows(path, path.name, "auto") for row in batch] == rows


def test_batches_are_bounded_and_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "BATCH_ROWS", 3)
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(f'{{"n": {n}}}\n' for n in range(7)), encoding="utf-8")
    batches = list(read_rows(path, path.name, "auto"))
    assert [len(batch) for batch in batches] == [3, 3, 1]
    assert [row["n"] for batch in batches for row in batch if isinstance(row, dict)] == list(range(7))


def test_jsonl_is_streamed(tmp_path: Path) -> None:
    """The first batch comes before a fault further on is met."""
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"n": 1}\n' * sources.BATCH_ROWS + b"\xff")
    batches = read_rows(path, path.name, "auto")
    assert len(next(batches)) == sources.BATCH_ROWS
    with pytest.raises(UserError, match="line 4097"):
        next(batches)


def test_bad_jsonl_lines_are_rows(read: Callable[..., list[SourceRow]]) -> None:
    deep = "[" * 100_000
    long_number = '{"n": ' + "9" * 5000 + "}"
    lines = ['{"a": 1}', "", '{"a": ', "[1]", "null", " \t", deep, long_number, '{"a": 2}\r']
    rows = read("\n".join(lines).encode(), "x.jsonl")
    assert rows[0] == {"a": 1}
    assert rows[-1] == {"a": 2}
    reasons = [row.reason for row in rows if isinstance(row, Unreadable)]
    assert reasons == [
        "not valid JSON: Expecting value",
        "not a JSON object",
        "not a JSON object",
        "not readable JSON: a number too long or nesting too deep",
        "not readable JSON: a number too long or nesting too deep",
    ]
    assert isinstance(rows[1], Unreadable)
    assert json.loads(rows[1].raw) == '{"a": \n'


@pytest.mark.parametrize("end", ["\n", "\r\n", ""])
@pytest.mark.parametrize(
    ("line", "fault", "column"),
    [
        ('{"a": "cut', "a text without its closing quote", 7),
        ('{"a": "b\tc"}', "a line break or another control character inside a text", 9),
        (r'{"a": "\q"}', "a backslash that stands for nothing", 8),
        (r'{"a": "\u12"}', r"a \u without four hex digits", 9),
        ('{"a": 1 "b"}', "Expecting ',' delimiter", 9),
        ('{"a": 1} x', "Extra data", 10),
    ],
)
def test_what_is_wrong_with_a_line_is_said_with_its_place(
    read: Callable[..., list[SourceRow]], line: str, fault: str, column: int, end: str
) -> None:
    (row,) = read(f"{line}{end}".encode(), "x.jsonl")
    assert isinstance(row, Unreadable)
    assert (row.reason, row.place) == (f"not valid JSON: {fault}", f"character {column}")


def test_a_json_document_that_is_cut_says_where(read: Callable[..., list[SourceRow]]) -> None:
    sentence = "x.json is not valid JSON: a text without its closing quote in line 2, column 7: fix it there"
    with pytest.raises(UserError, match=sentence):
        read(b'[{},\n{"a": "cut', "x.json")


def test_json_list_with_other_values(read: Callable[..., list[SourceRow]]) -> None:
    assert read(b'[{"a": 1}, "text"]', "x.json") == [{"a": 1}, Unreadable("not a JSON object", '"text"')]
    assert read(b"[]", "x.json") == []


def test_csv_rows_of_another_length(read: Callable[..., list[SourceRow]]) -> None:
    rows = read(b"a,b\r\n1,2\r\n\r\n3\r\n4,5,6\r\n", "x.csv")
    assert rows == [
        {"a": "1", "b": "2"},
        Unreadable("fewer fields than the header", '["3"]'),
        Unreadable("more fields than the header", '["4", "5", "6"]'),
    ]


def test_csv_field_beyond_the_library_default(read: Callable[..., list[SourceRow]]) -> None:
    before = csv.field_size_limit()
    assert read(b"a,b\n1," + b"x" * 200_000, "x.csv") == [{"a": "1", "b": "x" * 200_000}]
    assert csv.field_size_limit() == before, "other readers keep theirs"


def test_parquet_with_other_types(read: Callable[..., list[SourceRow]]) -> None:
    table = pa.table({"a": ["x", None], "when": [datetime(2024, 1, 2), None], "tags": [["t"], []]})
    file = io.BytesIO()
    pq.write_table(table, file)
    assert read(file.getvalue())[0] == {"a": "x", "when": datetime(2024, 1, 2), "tags": ["t"]}


@pytest.mark.parametrize(
    ("content", "name", "message"),
    [
        (b"", "x.json", "x.json is empty"),
        (b" \n\n", "x.csv", "x.csv is empty"),
        (b"<!DOCTYPE html><html><title>404", "x.json", "is an HTML or XML page, not json.*address"),
        (b"\n<HTML>", "x.jsonl", "is an HTML or XML page"),
        (b"<html>", "no-ending", "is an HTML or XML page"),
        (b"<?xml version='1.0'?><Error/>", "x.csv", "is an HTML or XML page"),
        (b'{"a": 1}\n{"a": 2}\n', "x.json", "one JSON object per line.*fetch.dataset.format to jsonl"),
        (b'[\n{"a": 1}\n]', "x.jsonl", "one JSON list, not JSON Lines.*format to json"),
        (b'[{"a": 1},\n {"a" 2}]', "x.json", "not valid JSON: Expecting ':' delimiter in line 2, column 7"),
        (b"[" * 100_000, "x.json", "cannot be read as JSON"),
        (b"just words", "no-ending", "cannot tell the format.*set fetch.dataset.format"),
        (b"a,a\n1,2\n", "x.csv", "column 'a' occurs twice"),
        (b'a,b\n1,"2\n3,4\n', "x.csv", "cannot be divided into rows at line 3"),
        (b'a,b\n1,"2"x\n', "x.csv", "cannot be divided into rows at line 2"),
        (b'{"a": "ok"}\n{"a": "caf\xe9"}', "x.jsonl", r"line 2 is not UTF-8 \(byte 11 of the line\)"),
        (b'[\n"caf\xe9"]', "x.json", r"line 2 is not UTF-8 \(byte 5 of the line\)"),
        ("a,b\n1,2".encode("utf-16"), "x.csv", "line 1 is not UTF-8"),
        (b"PAR1 and no more", "x.parquet", "not a readable Parquet file"),
        (as_parquet(ROWS)[:-20], "x.parquet", "not a readable Parquet file"),
        (gzip.compress(b'[{"a": 1}]' * 100, mtime=0)[:-9], "x.json.gz", "damaged gzip file"),
        (b"\x1f\x8bnonsense", "x.json.gz", "damaged gzip file"),
    ],
)
def test_wrong_files(read: Callable[..., list[SourceRow]], content: bytes, name: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read(content, name)


def test_the_chapters_dataset(shared_data: Path) -> None:
    path = shared_data / "llms-from-scratch" / "instruction-data.json"
    rows = [row for batch in read_rows(path, str(path), "auto") for row in batch]
    assert rows == json.loads(path.read_text(encoding="utf-8"))
    assert len(rows) == 1100
    expected = "7e09a9af353722ca15c18bc580f093f9c39d3178335a75177319cb1e1d163944"
    assert hashlib.sha256(path.read_bytes()).hexdigest() == expected


def test_the_only_list_of_objects_in_a_json_document_holds_the_rows(
    read: Callable[..., list[SourceRow]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert read(b'{"version": "1", "tags": ["a"], "data": [{"a": 1}, {"a": 2}]}', "x.json") == [{"a": 1}, {"a": 2}]
    assert "the rows are those under 'data'" in capsys.readouterr().err
    for content, words in [
        (b'{"train": [{"a": 1}], "test": [{"a": 1}]}', "lists of objects under 'train', 'test'"),
        (b'{"a": 1}', "no list of objects"),
    ]:
        with pytest.raises(UserError, match=words):
            read(content, "x.json")


def test_semicolons_separate_fields_where_the_header_has_no_comma(read: Callable[..., list[SourceRow]]) -> None:
    rows = [{"instruction": "Name it, please", "output": "a;b"}]
    assert read(b'instruction;output\r\nName it, please;"a;b"\r\n', "x.csv") == rows
    assert read(b'instruction;output\nName it, please;"a;b"\n', "no-ending") == rows
    assert read(b"a;b,c\n1;2,3\n", "x.csv") == [{"a;b": "1;2", "c": "3"}]


@pytest.mark.parametrize("whole", [False, True], ids=["jsonl", "json"])
def test_a_row_with_a_key_twice_is_set_aside(tmp_path: Path, whole: bool) -> None:
    lines = ['{"instruction": "a", "output": "b"}', '{"instruction": "a", "output": "b", "output": "c"}']
    path = tmp_path / "rows"
    path.write_text(f"[{','.join(lines)}]" if whole else "\n".join(lines), encoding="utf-8")
    [[good, bad]] = list(read_rows(path, "rows", "json" if whole else "jsonl"))
    assert good == {"instruction": "a", "output": "b"}
    assert isinstance(bad, Unreadable)
    assert bad.reason == "the key 'output' occurs twice"
    assert '["output", "b"], ["output", "c"]' in bad.raw


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="only Linux has such a file")
def test_a_fault_in_reading_names_the_file() -> None:
    with pytest.raises(OSError, match=r"Input/output error: 'a\.jsonl'") as caught:
        list(read_rows(Path("/proc/self/mem"), "a.jsonl", "auto"))
    assert caught.value.filename == "a.jsonl"
