"""Bringing scores to the scale of labels: a mapping fitted on labelled answers, and what it is worth.

`isotonic` keeps the order of the scores and changes their scale only; `ridge` also looks at the statistics of the two
texts, so it can correct what the scores miss. Both are kept as plain JSON with what they were fitted on.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy.optimize import isotonic_regression

from reprotune.errors import UserError
from reprotune.judging.offline import Statistics

FOLDS = 10
PENALTY = 1.0
"""Ridge penalty on the coefficients of standardised features."""
FEATURES = ("exact_match", "chrf", "rouge_l", "token_f1", "repetition", "length_ratio")
"""Statistics that ridge uses beside the score; all are defined for every answer."""

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
        "features": ["score", *FEATURES],
        "coefficients": coefficients.tolist(),
        "intercept": float(labels.mean() - coefficients @ centre),
        "penalty": PENALTY,
    }


FITS: dict[str, Callable[[np.ndarray, np.ndarray, np.ndarray], Mapping]] = {
    "isotonic": fit_isotonic,
    "ridge": fit_ridge,
}


def mapped(mapping: Mapping, scores: np.ndarray, texts: np.ndarray) -> np.ndarray:
    """Return the scores under a mapping, within 0..100; raises `UserError` when it is not one of ours."""
    try:
        if mapping["kind"] == "isotonic":
            values = np.interp(scores, mapping["scores"], mapping["labels"])
        elif mapping["kind"] == "ridge" and mapping["features"] == ["score", *FEATURES]:
            values = np.column_stack([scores, texts]) @ np.asarray(mapping["coefficients"]) + mapping["intercept"]
        else:
            raise ValueError("of a kind this version does not know")
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"the mapping cannot be used ({error}): fit it anew with `reprotune calibrate --fit`"
        ) from error
    return np.clip(values, 0.0, 100.0)


def cross_fitted(kind: str, scores: np.ndarray, labels: np.ndarray, texts: np.ndarray) -> np.ndarray:
    """Return each score under a mapping fitted without it, in ten folds: what the mapping is worth on new answers."""
    fold = np.arange(len(scores)) % FOLDS
    result = np.empty(len(scores))
    for number in range(min(FOLDS, len(scores))):
        held = fold == number
        mapping = FITS[kind](scores[~held], labels[~held], texts[~held])
        result[held] = mapped(mapping, scores[held], texts[held])
    return result


def text_features(statistics: Sequence[Statistics]) -> np.ndarray:
    """Return the statistics that ridge uses, one row per answer."""
    return np.array([[getattr(row, name) for name in FEATURES] for row in statistics], dtype=float)
