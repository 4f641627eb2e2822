"""The answers of repeats read back: what every seed got on every test row."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reprotune.artifacts import read_table
from reprotune.errors import UserError
from reprotune.runs.contracts import ANSWERS

COMPARED = ("score", "exact_match", "chrf", "rouge_l", "token_f1")


@dataclass(frozen=True)
class SeedValues:
    """What every seed got on every test row."""

    seeds: Sequence[int]
    values: Mapping[str, Mapping[str, Sequence[float]]]
    """Name of `COMPARED` -> row -> a value for each seed; rows that a seed has no score for are not there."""


@dataclass(frozen=True)
class SideRepeats:
    """The repeats of one revision; null where there are none that may be used, and then `unusable` says why."""

    values: SeedValues | None = None
    unusable: Sequence[str] = ()
    """Empty where none were made."""

    @property
    def seeds(self) -> int:
        """The number of runs, the pipeline's own among them."""
        return len(self.values.seeds) if self.values else 1


NO_REPEATS = SideRepeats()


def read_values(path: Path) -> SeedValues:
    """Read the answers of repeats; raises `UserError` unless every seed has answered the same rows."""
    found = read_table(path, ANSWERS).to_pylist()
    seeds = list(dict.fromkeys(row["seed"] for row in found))
    by_row: dict[str, dict[int, dict[str, Any]]] = {}
    for row in found:
        by_row.setdefault(row["row"], {})[row["seed"]] = row
    counts = Counter(row["row"] for row in found)
    for name, own in by_row.items():
        if not len(own) == counts[name] == len(seeds):
            raise UserError(f"{path}: not every seed has one answer to row {name}: run `reprotune repeat`")
    values: dict[str, dict[str, list[float]]] = {name: {} for name in COMPARED}
    for name in COMPARED:
        for identifier, own in by_row.items():
            numbers = [own[seed][name] for seed in seeds]
            if None not in numbers:
                values[name][identifier] = numbers
    return SeedValues(seeds, values)
