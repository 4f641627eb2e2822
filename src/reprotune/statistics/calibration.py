"""Mapping scores onto the scale of labels: fitted on labelled answers, and tested on answers left out of the fit.

`isotonic` keeps the order of the scores and changes only their scale; `ridge` also uses the statistics of the two
texts, so that it can correct what the scores miss. Both are plain JSON.

Throughout, `scores` and `labels` are arrays of n numbers on the scale 0..100, and `texts` is an array of n rows with
the statistics of each answer, in the order of `reprotune.artifacts.STATISTICS`.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import isotonic_regression

from reprotune.artifacts import STATISTICS
from reprotune.errors import UserError
from reprotune.files import read_json

FOLDS = 10
PENALTY = 1.0
"""Ridge penalty on the coefficients of standardised features."""
FEATURES = ["score", *STATISTICS]
"""What ridge uses, in this order."""

LARGEST = 10**9
"""Largest number in a mapping: both scales end at 100."""
REMEDY = "fit a new one with `reprotune calibrate --fit`"

Mapping = dict[str, Any]
"""A fitted mapping as JSON: `kind` and its numbers."""


def fit_isotonic(scores: np.ndarray, labels: np.ndarray, texts: np.ndarray) -> Mapping:
    """Return the non-decreasing step function closest to the labels, as knots; equal scores get one value."""
    knots, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    means = np.bincount(place, weights=labels) / counts
    fitted = isotonic_regression(means, weights=counts).x
    return {"kind": "isotonic", "scores": knots.tolist(), "labels": fitted.tolist()}


def fit_ridge(scores: np.ndarray, labels: np.ndarray, texts: np.ndarray) -> Mapping:
    """Return a linear map of the score and the texts' statistics, with an L2 penalty on standardised features."""
    features = np.column_stack([scores, texts])
    centre, spread = features.mean(axis=0), features.std(axis=0)
    spread[spread == 0] = 1.0
    standard = (features - centre) / spread
    gram = standard.T @ standard + PENALTY * np.eye(standard.shape[1])
    weights = np.linalg.solve(gram, standard.T @ (labels - labels.mean()))
    coefficients = weights / spread
    return {
        "kind": "ridge",
        "features": FEATURES,
        "coefficients": coefficients.tolist(),
        "intercept": float(labels.mean() - coefficients @ centre),
        "penalty": PENALTY,
    }


FITS: dict[str, Callable[[np.ndarray, np.ndarray, np.ndarray], Mapping]] = {
    "isotonic": fit_isotonic,
    "ridge": fit_ridge,
}


def read_mapping(path: Path) -> Mapping:
    """Read a stored mapping; raises `UserError` if it is missing or not one of ours."""
    mapping = read_json(path, REMEDY)
    if not isinstance(mapping, dict):
        raise UserError(f"{path} should be a JSON object: {REMEDY}")
    provenance = mapping.get("provenance", {})
    if not isinstance(provenance, dict) or not isinstance(provenance.get("sha256", {}), dict):
        raise UserError(f"{path}: provenance should be an object: {REMEDY}")
    mapped(mapping, np.zeros(1), np.zeros((1, len(STATISTICS))))
    return mapping


def mapped(mapping: Mapping, scores: np.ndarray, texts: np.ndarray) -> np.ndarray:
    """Return the scores under a mapping, clipped to 0..100; raises `UserError` if it is not one of ours."""
    kind = mapping.get("kind")
    if kind == "isotonic":
        knots, labels = _numbers(mapping, "scores"), _numbers(mapping, "labels")
        if len(knots) != len(labels) or not len(knots) or bool((np.diff(knots) <= 0).any()):
            raise UserError(f"the mapping cannot be used (its scores do not rise, or have no labels): {REMEDY}")
        values = np.interp(scores, knots, labels)
    elif kind == "ridge" and mapping.get("features") == FEATURES:
        coefficients, intercept = _numbers(mapping, "coefficients"), _numbers(mapping, "intercept")
        if coefficients.shape != (len(FEATURES),) or intercept.shape != (1,):
            raise UserError(f"the mapping cannot be used (it needs {len(FEATURES)} coefficients): {REMEDY}")
        values = np.column_stack([scores, texts]) @ coefficients + intercept
    else:
        raise UserError(f"the mapping cannot be used (this version does not know its kind): {REMEDY}")
    return np.clip(values, 0.0, 100.0)


def _numbers(mapping: Mapping, key: str) -> np.ndarray:
    """Return the numbers under a key of a mapping; one alone counts as a list of one."""
    found = mapping.get(key)
    listed = found if isinstance(found, list) else [found]
    for value in listed:
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= LARGEST:
            raise UserError(f"the mapping cannot be used ({key} should be numbers up to {LARGEST:,}): {REMEDY}")
    return np.array(listed, dtype=float)


def cross_fitted(kind: str, scores: np.ndarray, labels: np.ndarray, texts: np.ndarray) -> np.ndarray:
    """Return each score under a mapping fitted without it, in `FOLDS` folds: what the mapping is worth on new answers.

    Fewer rows than folds are left out one by one.
    """
    fold = np.arange(len(scores)) % FOLDS
    result = np.empty(len(scores))
    for number in range(min(FOLDS, len(scores))):
        held_out = fold == number
        mapping = FITS[kind](scores[~held_out], labels[~held_out], texts[~held_out])
        result[held_out] = mapped(mapping, scores[held_out], texts[held_out])
    return result
