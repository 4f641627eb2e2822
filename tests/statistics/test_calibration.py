"""Mappings from scores to labels."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reprotune.artifacts import STATISTICS
from reprotune.errors import UserError
from reprotune.statistics.calibration import FEATURES, FITS, cross_fitted, mapped, read_mapping


def test_mappings_recover_what_made_the_labels() -> None:
    random = np.random.default_rng(5)
    scores, texts = random.uniform(0, 100, 200), random.uniform(0, 1, (200, len(STATISTICS)))
    curve = scores**2 / 100
    assert np.abs(cross_fitted("isotonic", scores, curve, texts) - curve).max() < 5
    linear = 0.5 * scores + 30 * texts[:, 1]
    assert np.abs(cross_fitted("ridge", scores, linear, texts) - linear).max() < 3


@given(st.lists(st.tuples(st.integers(0, 100), st.integers(0, 100)), min_size=2))
def test_isotonic_never_turns_the_order_round(pairs: list[tuple[int, int]]) -> None:
    scores, labels = np.array(pairs, dtype=float).T
    mapping = FITS["isotonic"](scores, labels, np.zeros((len(scores), len(STATISTICS))))
    grid = np.linspace(0, 100, 101)
    assert (np.diff(mapped(mapping, grid, np.zeros((101, len(STATISTICS))))) >= -1e-9).all()


def isotonic(label: float) -> dict[str, object]:
    return {"kind": "isotonic", "scores": [0.0, 100.0], "labels": [label, 100.0]}


NOT_OURS = [{}, {"kind": "magic"}, {"kind": "ridge", "features": ["score"]}, {"kind": []}]


@pytest.mark.parametrize("mapping", [*NOT_OURS, *map(isotonic, [float("nan"), float("inf"), 10**400])])
def test_a_mapping_that_is_none_of_ours_is_refused(mapping: dict[str, object]) -> None:
    with pytest.raises(UserError, match="calibrate --fit"):
        mapped(mapping, np.zeros(1), np.zeros((1, len(STATISTICS))))


def stored(**changes: object) -> str:
    return json.dumps({"kind": "isotonic", "scores": [0.0, 50.0], "labels": [1.0, 99.0], **changes})


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (stored(labels=[1.0]), "its scores do not rise, or have no labels"),
        (stored(scores=[50.0, 0.0]), "its scores do not rise"),
        (stored(scores=[], labels=[]), "its scores do not rise, or have no labels"),
        (stored(labels=[1.0, "x"]), "labels should be numbers"),
        (stored(labels=[1.0, True]), "labels should be numbers"),
        (stored(scores=None), "scores should be numbers"),
        (stored(labels=[1.0, 1e300]), "labels should be numbers up to"),
        ('{"kind": "isotonic", "scores": [NaN], "labels": [1]}', "NaN is no number"),
        (stored(kind="ridge", features=FEATURES, coefficients=[1.0], intercept=0), "it needs 7 coefficients"),
        (stored(provenance=5), "provenance should be an object"),
        ("[1]", "should be a JSON object"),
        ("<<<<<<< HEAD", "is not valid JSON"),
    ],
)
def test_a_stored_mapping_is_checked_where_it_is_read(tmp_path: Path, content: str, words: str) -> None:
    (tmp_path / "map.json").write_text(content)
    with pytest.raises(UserError, match="calibrate --fit") as refusal:
        read_mapping(tmp_path / "map.json")
    assert words in str(refusal.value)
