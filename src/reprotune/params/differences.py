"""Which params differ between two documents, key by key."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from reprotune.params.yaml_text import spelled
from reprotune.results.words import flattened

ABSENT = "(absent)"


@dataclass(frozen=True)
class ParamChange:
    """One key whose value differs, both values as YAML spells them."""

    key: str
    old: str
    new: str

    def __str__(self) -> str:
        return f"{self.key}: {self.old} -> {self.new}"


def param_changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[ParamChange]:
    """Return the keys that differ between two (nested) documents: those of `new` in its order, then those gone."""
    before, after = flattened(dict(old)), flattened(dict(new))
    keys = [*after, *(key for key in before if key not in after)]
    changes = [
        ParamChange(key, _spelled(before, key), _spelled(after, key)) for key in keys if _differ(before, after, key)
    ]
    return changes


def _differ(before: dict[str, Any], after: dict[str, Any], key: str) -> bool:
    if key not in before or key not in after:
        return True
    old, new = before[key], after[key]
    return bool(old != new) or isinstance(old, bool) != isinstance(new, bool)


def _spelled(values: dict[str, Any], key: str) -> str:
    return spelled(values[key]) if key in values else ABSENT
