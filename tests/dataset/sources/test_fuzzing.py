"""Whatever bytes a dataset, a template or params.yaml consist of, reading ends in values or in a `UserError`."""

import copy
import gzip
import io
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reprotune import sandbox
from reprotune.dataset.sources.readers import read_rows
from reprotune.dataset.templates.instructions import load_template
from reprotune.errors import UserError
from reprotune.params.document import Document
from reprotune.params.values import parsed_document
from tests.builders.datasets import normalizer_of
from tests.builders.fuzzing import examples

ROOT = Path(__file__).resolve().parents[3]
TEXTS = {name: (ROOT / name).read_bytes() for name in ("params.yaml", "dvc.yaml", "gate.yaml")}
DOCUMENT = parsed_document(TEXTS["params.yaml"].decode(), "it")
PARAMS = Document.parse("", DOCUMENT).fetch.dataset

RECORDS = [{"instruction": f"Add {n} and 1.", "input": "", "output": str(n + 1), "category": "ü"} for n in range(6)]
CSV = "instruction,input,output,category\n" + "".join(",".join(record.values()) + "\n" for record in RECORDS)
JSONL = "".join(json.dumps(record) + "\n" for record in RECORDS)
TEMPLATE = b"{% if input %}{{ input|trim }}{% endif %}{{ instruction.strip() }}{# header #}\nA: {{ response }}\n"


def _parquet() -> bytes:
    content = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(RECORDS), content)
    return content.getvalue()


FILES = {
    "x.jsonl": JSONL.encode(),
    "x.json": json.dumps(RECORDS, indent=1).encode(),
    "x.csv": CSV.encode(),
    "x.tsv": CSV.replace(",", "\t").encode(),
    "x.parquet": _parquet(),
    "x.jsonl.gz": gzip.compress(JSONL.encode(), mtime=0),
    "x.parquet.gz": gzip.compress(_parquet(), mtime=0),
    "x": b"",
}
PIECES = [
    b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b'"', b"\\ud83d", b"[" * 60, b"{" * 50, b"9" * 5000, b"NaN", b"1e999",
    b"<<<<<<< HEAD\n", b"\r", b"\n\n", b",,,", b"PAR1", b"\x1f\x8b", b'{"a":1,"a":2}', b"null", b"<!doctype html>",
    b"{{", b"{%", b"{#", b"'\\ud83d'", b"&a [*a]", b"*a", b"!!int x", b"- " * 500, b"2001-99-99", b"~", b": :",
]  # fmt: skip

edits = st.lists(
    st.tuples(st.floats(0, 1), st.integers(0, 40), st.one_of(st.sampled_from(PIECES), st.binary(max_size=20))),
    max_size=6,
)
many = settings(
    max_examples=examples(300), derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck)
)
few = settings(
    many, max_examples=examples(60)
)  # for YAML, of which a page takes a tenth of a second, and brackets more


def edited(content: bytes, changes: list[tuple[float, int, bytes]]) -> bytes:
    """Replace, at some places, some bytes by others."""
    for place, removed, piece in changes:
        start = int(place * len(content))
        content = content[:start] + piece + content[start + removed :]
    return content


def is_a_sentence(error: UserError) -> bool:
    return 0 < len(str(error)) < 5000


@many
@given(
    name=st.sampled_from(sorted(FILES)),
    kind=st.sampled_from(["auto", "json", "jsonl", "csv", "tsv", "parquet"]),
    changes=edits,
)
def test_rows_of_any_bytes(tmp_path: Path, name: str, kind: str, changes: list[tuple[float, int, bytes]]) -> None:
    path = tmp_path / name
    path.write_bytes(edited(FILES[name], changes))
    normalizer = normalizer_of(PARAMS)
    try:
        for batch in read_rows(path, name, kind, PARAMS.columns.model_dump().values()):
            records, rejected = normalizer.normalize(batch)
            json.dumps([records, rejected], ensure_ascii=False).encode()  # can be stored
        normalizer.finish()
    except UserError as error:
        assert is_a_sentence(error)


@many
@given(changes=edits)
def test_templates_of_any_bytes(tmp_path: Path, changes: list[tuple[float, int, bytes]]) -> None:
    path = tmp_path / "x.jinja"
    path.write_bytes(edited(TEMPLATE, changes))
    before, sandbox.MOST_SECONDS = sandbox.MOST_SECONDS, 2
    try:
        load_template(str(path)).format({**RECORDS[0], "id": "r"}, "in_prompt")["prompt"].encode()
    except UserError as error:
        assert is_a_sentence(error)
    finally:
        sandbox.MOST_SECONDS = before


@few
@given(changes=edits)
def test_params_of_any_bytes(tmp_path: Path, changes: list[tuple[float, int, bytes]]) -> None:
    path = tmp_path / "params.yaml"
    lines = TEXTS["params.yaml"].splitlines(keepends=True)
    path.write_bytes(edited(b"".join(line for line in lines if not line.lstrip().startswith(b"#")), changes))
    try:
        Document.read(path)
    except UserError as error:
        assert is_a_sentence(error)


values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(max_size=10),
        st.sampled_from(["~x/y", "http://[::1", "a.jinja", "x" * 5000, "\0", 10**400]),
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@many
@given(st.data(), values)
def test_params_of_any_values(data: st.DataObject, value: object) -> None:
    document = copy.deepcopy(DOCUMENT)
    place = document
    while True:
        key = data.draw(st.sampled_from(sorted(place)))
        if not isinstance(place[key], dict) or data.draw(st.booleans()):
            place[key] = value
            break
        place = place[key]
    try:
        Document.parse("", document)
    except UserError as error:
        assert is_a_sentence(error)


@pytest.mark.parametrize("name", ["dvc.yaml", "gate.yaml"])
@few
@given(changes=edits)
def test_other_documents_of_any_bytes(name: str, changes: list[tuple[float, int, bytes]]) -> None:
    try:
        parsed_document(edited(TEXTS[name][:1500], changes).decode("utf-8", "replace"), name)
    except UserError as error:
        assert is_a_sentence(error)
