"""Whatever bytes labelled answers, labels and mappings consist of, reading ends in values or in a `UserError`."""

import json
import math
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reprotune.artifacts import STATISTICS
from reprotune.errors import UserError
from reprotune.judging.labels.read import read_items, read_scores
from reprotune.statistics.calibration import FEATURES, mapped, read_mapping
from tests.builders.fuzzing import examples

ANSWERS = [{"instruction": "i", "input": None, "output": "o", "answer": "a", "label": 5} for _ in range(3)]
ISOTONIC = {"kind": "isotonic", "scores": [0.0, 50.0], "labels": [1.0, 99.0], "provenance": {"sha256": {}}}
RIDGE = {"kind": "ridge", "features": FEATURES, "coefficients": [1.0] * len(FEATURES), "intercept": 2.0}
PIECES = [b"\0", b"\xff", b'"', b"\\ud83d", b"[" * 3000, b"9" * 400, b"NaN", b"1e999", b"<<<<<<< HEAD", b"null", b"-1"]

edits = st.lists(
    st.tuples(st.floats(0, 1), st.integers(0, 30), st.one_of(st.sampled_from(PIECES), st.binary(max_size=10))),
    max_size=4,
)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just(10**400),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
many = settings(
    max_examples=examples(300), derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck)
)


def read_as_everything(path: Path) -> None:
    """Read a file as answers, as labels of their own and as a mapping; what is read can be used."""
    try:
        items = read_items(path, "answer")
        assert all(score is None or 0 <= score <= 100 for score in read_scores("label", path, len(items)))
    except UserError as error:
        assert len(str(error)) < 1000
    try:
        assert all(score is None or math.isfinite(score) for score in read_scores(str(path), path, 3))
    except UserError as error:
        assert len(str(error)) < 1000
    try:
        found = mapped(read_mapping(path), np.array([0.0, 55.5, 100.0]), np.ones((3, len(STATISTICS))))
        assert np.isfinite(found).all()
    except UserError as error:
        assert len(str(error)) < 1000


@many
@given(document=st.sampled_from([ANSWERS, [1, None, 99.5], ISOTONIC, RIDGE]), changes=edits)
def test_documents_of_any_bytes(tmp_path: Path, document: object, changes: list[tuple[float, int, bytes]]) -> None:
    content = json.dumps(document).encode()
    for place, removed, piece in changes:
        start = int(place * len(content))
        content = content[:start] + piece + content[start + removed :]
    (tmp_path / "x.json").write_bytes(content)
    read_as_everything(tmp_path / "x.json")


@many
@given(document=st.sampled_from([ISOTONIC, RIDGE, ANSWERS[0]]), data=st.data(), value=values)
def test_documents_of_any_values(
    tmp_path: Path, document: dict[str, object], data: st.DataObject, value: object
) -> None:
    changed = {**document, data.draw(st.sampled_from(sorted(document))): value}
    text = json.dumps([changed, *ANSWERS] if "answer" in document else changed)
    (tmp_path / "x.json").write_text(text, encoding="utf-8")
    read_as_everything(tmp_path / "x.json")
