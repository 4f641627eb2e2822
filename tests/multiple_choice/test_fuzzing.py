"""Whatever bytes a benchmark consists of, reading ends in items that are whole or in one sentence."""

import csv
import io
import json
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reprotune.errors import UserError
from tests.builders.benchmarks import collected
from tests.builders.fuzzing import examples

ROWS = [
    {"question": f"What is {n}?", "choices": ["None", str(n), "ü", "d"], "answer": "B", "subject": "anatomy"}
    for n in range(4)
]


def _published() -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows([row["question"], *row["choices"], row["answer"]] for row in ROWS)
    return text.getvalue().encode()


def _packed(mode: Any) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode=mode) as file:
        header = tarfile.TarInfo("data/test/anatomy_test.csv")
        header.size = len(_published())
        file.addfile(header, io.BytesIO(_published()))
    return content.getvalue()


def _parquet() -> bytes:
    content = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(ROWS), content)
    return content.getvalue()


FILES = {
    "x.jsonl": "".join(f"{json.dumps(row)}\n" for row in ROWS).encode(),
    "anatomy_test.csv": _published(),
    "x.tar": _packed("w"),
    "x.tgz": _packed("w:gz"),
    "x.parquet": _parquet(),
}
PIECES = [
    b"\0", b"\xff", b'"', b"\\ud83d", b"[" * 60, b"9" * 5000, b"NaN", b"null", b",", b"\n", b"[]", b"{}", b"-1", b'""',
    b"..", b"/", b"2", b"0000777", b"ustar", b"\x80" + b"\xff" * 11,
]  # fmt: skip

edits = st.lists(
    st.tuples(st.floats(0, 1), st.integers(0, 40), st.one_of(st.sampled_from(PIECES), st.binary(max_size=20))),
    max_size=6,
)
cells = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 40) | st.floats() | st.text(max_size=5) | st.sampled_from("ABCD0123"),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.sampled_from(["text", "label", "x"]), inner),
    max_leaves=8,
)
many = settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.too_slow])


@pytest.mark.parametrize("name", FILES)
@many
@given(edits=edits)
def test_any_bytes(name: str, edits: list[tuple[float, int, bytes]]) -> None:
    content = FILES[name]
    for place, removed, piece in edits:
        start = int(place * len(content))
        content = content[:start] + piece + content[start + removed :]
    _read(name, content)


@many
@given(rows=st.lists(st.dictionaries(st.sampled_from(sorted(ROWS[0])), cells), max_size=4))
def test_any_rows(rows: list[dict[str, Any]]) -> None:
    _read("x.jsonl", "".join(f"{json.dumps(row)}\n" for row in [*rows, ROWS[0]]).encode())


def _read(name: str, content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, name)
        path.write_bytes(content)
        try:
            items, rejected, summary = collected(Path(folder, "out"), path, max_rejected_fraction=1)
        except UserError as error:
            assert str(error).strip()
            return
    assert len(items) + len(rejected) + summary["other_splits"] == summary["rows"]
    for item in items:
        assert 0 <= item["answer"] < len(item["choices"]) >= 2
        assert item["question"].strip() and all(choice.strip() for choice in item["choices"])
