"""Sections `fetch.dataset` and what reads them, from the few keys that a test is about."""

from typing import Any

from reprotune.dataset.sources.records import Normalizer
from reprotune.params.sections.dataset import DatasetParams

DEFAULTS: dict[str, Any] = {
    "source": "rows.json",
    "format": "auto",
    "sha256": None,
    "columns": {},
    "max_chars": 20000,
    "on_bad_row": "reject",
    "max_rejected_fraction": 1.0,
}


def dataset_params(**changes: Any) -> DatasetParams:
    """Return a section that accepts any share of unusable rows, with these keys changed."""
    return DatasetParams.parse("fetch.dataset", DEFAULTS | changes)


def normalizer_of(params: DatasetParams) -> Normalizer:
    """Return what reads the rows of the only source of a section."""
    [(key, source)] = params.keyed_sources.items()
    return Normalizer(params, key, source)
