"""Repeats of a revision's training with other seeds, as far as they are those of its params, code and data."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reprotune.artifacts import read_table
from reprotune.compare.revision import REPEATS_LOCK, Revision
from reprotune.compare.stale import git_hashes
from reprotune.errors import UserError
from reprotune.params.differences import param_changes
from reprotune.pipeline.dvc_yaml import CODE
from reprotune.pipeline.hashes import Hashes
from reprotune.runs.contracts import ANSWERS
from reprotune.runs.publish import read_repeats_metrics

FILE, METRICS = "data/repeats/answers.parquet", "data/repeats/metrics.json"
STAGE = "repeat"
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


def read_repeats(revision: Revision, method: str) -> SideRepeats:
    """Return the repeats of a revision whose own run was scored by `method`.

    Raises `UserError` if they are recorded, but cannot be had or read.
    """
    if not revision.has(FILE):
        return NO_REPEATS
    if stale := list(dict.fromkeys(_stale(revision))):
        return SideRepeats(unusable=stale)
    with tempfile.TemporaryDirectory(prefix="reprotune-") as folder:
        scratch = Path(folder) / "listings"
        scratch.mkdir()
        for path in (FILE, METRICS):
            revision.place(path, Path(folder) / path, scratch)
        try:
            repeated = read_repeats_metrics(Path(folder) / METRICS)["method"]
            if repeated != method:
                return SideRepeats(unusable=[f"they were scored by {repeated}, the run itself by {method}"])
            return SideRepeats(read_values(Path(folder) / FILE))
        except UserError as error:
            raise UserError(f"{revision.title}: {str(error).replace(f'{folder}/', '')}") from error


def read_values(path: Path) -> SeedValues:
    """Read the answers of repeats; raises `UserError` unless every seed has answered the same rows."""
    found = read_table(path, ANSWERS).to_pylist()
    seeds = list(dict.fromkeys(row["seed"] for row in found))
    by_row: dict[str, dict[int, dict[str, Any]]] = {}
    for row in found:
        by_row.setdefault(row["row"], {})[row["seed"]] = row
    uneven = next((name for name, own in by_row.items() if len(own) < len(seeds)), None)
    if uneven is not None or len(found) != len(seeds) * len(by_row):
        raise UserError(f"{path}: not every seed has one answer to row {uneven or 'after row'}: run `reprotune repeat`")
    values: dict[str, dict[str, list[float]]] = {name: {} for name in COMPARED}
    for name in COMPARED:
        for identifier, own in by_row.items():
            numbers = [own[seed][name] for seed in seeds]
            if None not in numbers:
                values[name][identifier] = numbers
    return SeedValues(seeds, values)


def _stale(revision: Revision) -> Iterator[str]:
    """Yield why the repeats are not those of the revision's params, code and data."""
    locked = revision.repeats_lock.get(STAGE)
    if locked is None:
        yield f"they are not in {REPEATS_LOCK}"
        return
    sections = locked["params"].get("params.yaml", {})
    params = revision.yaml("params.yaml")
    now = {key: params[key] for key in sections if isinstance(params, dict) and key in params}
    yield from map(str, param_changes(sections, now))
    wanted = {dep["path"]: dep.get("md5") for dep in locked["deps"]}
    code = {path for path in wanted if path.startswith(CODE)}
    hashes = Hashes(revision.root)
    here = git_hashes(revision, code) if revision.commit else {path: hashes.of(path) for path in code}
    for path, md5 in wanted.items():
        found = here.get(path) if path in code else revision.locked_hash(path)
        if found != md5:
            yield f"{path}: changed"
