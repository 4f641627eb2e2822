"""The numbers of `data/repeats/metrics.json`, read back and checked, and those of them that go to Git."""

from pathlib import Path
from typing import Any

from reprotune.errors import UserError
from reprotune.files import read_json

REMEDY = "run `reprotune repeat` to make it"
PUBLISHED = ("score", "exact_match", "validation_loss")
"""Each with mean and spread; more would be a column of `dvc exp show` each."""


def read_repeats_metrics(path: Path) -> dict[str, Any]:
    """Return the metrics of repeats; raises `UserError` unless every number that is shown is there."""
    document = read_json(path, REMEDY)
    parts = {**dict.fromkeys(PUBLISHED, dict), "agreement": dict, "seeds": int, "rows": int, "method": str}
    for name, kind in parts.items():
        if not isinstance(document, dict) or not isinstance(document.get(name), kind):
            raise UserError(f"{path} has no usable `{name}`: {REMEDY}")
    for name in PUBLISHED:
        for key in ("mean", "sd", "lowest", "highest"):
            if not isinstance(document[name].get(key), float | int | None):
                raise UserError(f"{path} has no usable `{name}.{key}`: {REMEDY}")
    return dict(document)


def published(metrics: dict[str, Any]) -> dict[str, Any]:
    """Return metrics/repeats.json: the main numbers, those left out that were not measured, which DVC cannot show."""
    chosen = {name: metrics[name] for name in (*PUBLISHED, "agreement")}
    numbers = {name: {key: value for key, value in part.items() if value is not None} for name, part in chosen.items()}
    return {**{key: metrics[key] for key in ("method", "seeds", "rows")}, **numbers}
