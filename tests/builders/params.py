"""A whole params.yaml, which every stage demands, from the few keys that a test is about."""

import json
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parents[2]


def whole_params(text: str) -> str:
    """Return params.yaml as it ships, with the keys of `text` (YAML) set on top, as JSON."""
    yaml = YAML(typ="safe", pure=True)
    document = yaml.load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    _set(document, yaml.load(text))
    return json.dumps(document, indent=2)


def _set(target: dict[str, Any], values: dict[str, Any]) -> None:
    for key, value in values.items():
        if isinstance(value, dict):
            _set(target[key], value)
        else:
            assert key in target, f"params.yaml has no key {key}"
            target[key] = value
