"""Which params differ between two documents, key by key."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from reprotune.params.values import flattened, same_value, spelled

ABSENT = "(absent)"


@dataclass(frozen=True)
class ParamChange:
    """A key whose value differs; both values as YAML spells them."""

    key: str
    old: str
    new: str

    def __str__(self) -> str:
        return f"{self.key}: {self.old} -> {self.new}"


def param_changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[ParamChange]:
    """Return the keys that differ between two nested documents: those of `new` in its order, then the removed ones."""
    before, after = flattened(dict(old)), flattened(dict(new))
    changes = []
    for key in [*after, *(key for key in before if key not in after)]:
        if key not in before or key not in after or not same_value(before[key], after[key]):
            was, now = (spelled(values[key]) if key in values else ABSENT for values in (before, after))
            changes.append(ParamChange(key, was, now))
    return changes
