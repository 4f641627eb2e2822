"""The results of one revision, read as the report reads them."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

from reprotune.artifacts import MODELS, SCORES, read_table
from reprotune.compare.revision import Revision
from reprotune.compare.stale import git_hashes, stale_reasons
from reprotune.errors import UserError
from reprotune.files import parsed_json
from reprotune.multiple_choice.figures.measured import FILES as BENCHMARK
from reprotune.params.values import flattened
from reprotune.pipeline.dvc_yaml import CODE
from reprotune.pipeline.hashes import Hashes
from reprotune.records import read_records
from reprotune.results.documents import Speed, checked
from reprotune.results.read import Results, Row, load_results
from reprotune.results.words import SPLITS
from reprotune.runs.current import STAGE, changes_since_repeats
from reprotune.runs.publish import read_repeats_metrics
from reprotune.runs.values import NO_REPEATS, SideRepeats, read_values

ARTIFACTS = (
    *(f"data/{stage}/summary.json" for stage in ("raw", "split", "formatted", "tokens")),
    *(f"data/split/{split}.parquet" for split in SPLITS),
    "data/model/metrics.json",
    "data/model/loss.csv",
    *(f"data/responses/{model}.parquet" for model in MODELS),
    "data/judgements/metrics.json",
    "data/judgements/scores.parquet",
)
"""The files that are read besides those of `BENCHMARK`, which runs of earlier versions do not have, and no other:
everything of them is reproduced by a rerun of the revision."""

VALIDATION_TOKENS, TRAINING_TOKENS = "data/tokens/validation.parquet", "data/tokens/train.parquet"
"""What the losses are means over."""

RESULTS = ("data/model", "data/responses/base.parquet", "data/responses/finetuned.parquet", "data/judgements")
"""If these are the same in two revisions, so is everything that was measured on the test rows."""

SPEED = ("data/speed/finetune.json", "metrics/speed.json")
"""Where it is recorded what a model was made with: as `finetune` writes it, which may be absent, and as published."""

MADE_WITH = ("torch", "python", "precision", "device_type", "constraints_sha256")
"""What a model's bytes depend on besides params, code and data."""

REPEATS = "data/repeats/answers.parquet", "data/repeats/metrics.json"
"""What `reprotune repeat` has made of it, where it has."""

HASHED = (VALIDATION_TOKENS, TRAINING_TOKENS, *RESULTS, *BENCHMARK)


@dataclass(frozen=True)
class Record:
    """One instruction record and the split it is in."""

    split: str
    instruction: str
    input: str
    output: str
    category: str | None


@dataclass(frozen=True)
class Snapshot:
    """Everything of one revision that is compared."""

    title: str
    params: dict[str, Any]
    stale: Sequence[str]
    """Why the results are not those of the params, code and data of the revision; empty if they are."""
    results: Results
    statistics: dict[tuple[str, str], dict[str, float]]
    """(model, id) -> statistical scores of the answer."""
    records: dict[str, Record]
    hashes: Mapping[str, str | None] = field(default_factory=dict)
    """Path of `HASHED` -> its MD5 in dvc.lock; null where that is unknown."""
    made_with: Mapping[str, str] = field(default_factory=dict)
    """What of `MADE_WITH` is recorded of the training."""
    repeats: SideRepeats = NO_REPEATS
    """Runs with other seeds."""

    @cached_property
    def rows(self) -> dict[str, Row]:
        """The test rows by id."""
        return {row.id: row for row in self.results.rows}

    def numbers(self) -> dict[str, float]:
        """Return the metrics of the test set, of training (`training.`), benchmarks and retention by dotted name."""
        judged = {key: value for key, value in self.results.judged.items() if key != "categories"}
        flat = flattened({**judged, "training": self.results.training})
        return {key: value for key, value in (flat | self.benchmark_numbers).items() if isinstance(value, (int, float))}

    @cached_property
    def benchmark_numbers(self) -> dict[str, Any]:
        """The metrics of benchmarks and retention by dotted name; empty where there are none."""
        task = {self.results.measured.task: self.results.figures} if self.results.figures else {}
        return flattened(task) | flattened({"retention": self.results.retention})


def read_snapshot(name: str, root: Path = Path()) -> Snapshot:
    """Read the results of a Git revision, or of the workspace; raises `UserError` if a part is not available."""
    revision = Revision(name, root)
    params = revision.yaml("params.yaml")
    if not isinstance(params, dict):
        raise UserError(f"params.yaml of {revision.title} should be a mapping: restore it from Git")
    with tempfile.TemporaryDirectory(prefix="reprotune-") as folder:
        scratch = Path(folder) / "listings"
        scratch.mkdir()
        for path in (*ARTIFACTS, *filter(revision.has, BENCHMARK)):
            revision.place(path, Path(folder) / path, scratch)
        try:
            hashes = {path: revision.locked_hash(path) for path in HASHED}
            snapshot = load_snapshot(Path(folder) / "data", revision.title, params, stale_reasons(revision), hashes)
            method = snapshot.results.judged["method"]
            return replace(snapshot, made_with=_made_with(revision), repeats=read_repeats(revision, method))
        except UserError as error:
            raise UserError(f"{revision.title}: {str(error).replace(f'{folder}/', '')}") from error


def read_repeats(revision: Revision, method: str) -> SideRepeats:
    """Return the repeats of a revision whose own run was scored by `method`.

    Raises `UserError` if they are recorded, but cannot be had or read.
    """
    if not revision.has(REPEATS[0]):
        return NO_REPEATS
    if stale := list(dict.fromkeys(_changes_since_repeats(revision))):
        return SideRepeats(unusable=stale)
    with tempfile.TemporaryDirectory(prefix="reprotune-") as folder:
        scratch = Path(folder) / "listings"
        scratch.mkdir()
        for path in REPEATS:
            revision.place(path, Path(folder) / path, scratch)
        try:
            repeated = read_repeats_metrics(Path(folder) / REPEATS[1])["method"]
            if repeated != method:
                return SideRepeats(unusable=[f"they were scored by {repeated}, the run itself by {method}"])
            return SideRepeats(read_values(Path(folder) / REPEATS[0]))
        except UserError as error:
            raise UserError(f"{revision.title}: {str(error).replace(f'{folder}/', '')}") from error


def _changes_since_repeats(revision: Revision) -> Iterator[str]:
    """Yield why the repeats are not those of the revision's params, code and data."""
    stages = revision.repeats_lock
    deps = stages[STAGE]["deps"] if STAGE in stages else []
    code = {dep["path"] for dep in deps if dep["path"].startswith(CODE)}
    hashes = Hashes(revision.root)
    here = git_hashes(revision, code) if revision.commit else {path: hashes.of(path) for path in code}

    def hash_of(path: str) -> str | None:
        return here.get(path) if path in code else revision.locked_hash(path)

    yield from changes_since_repeats(stages, revision.yaml("params.yaml"), hash_of)


def load_snapshot(
    data: Path,
    title: str,
    params: dict[str, Any],
    stale: Sequence[str],
    hashes: Mapping[str, str | None] = MappingProxyType({}),
) -> Snapshot:
    """Read the artifacts under `data/`; raises `UserError` if one is missing or malformed."""
    results = _read_results(data)
    scores = read_table(data / "judgements/scores.parquet", SCORES).to_pylist()
    statistics = {(row["model"], row["id"]): _statistics(row) for row in scores}
    return Snapshot(title, params, stale, results, statistics, _read_records(data / "split"), hashes)


def _read_results(data: Path) -> Results:
    """Read the results, which may lack keys that earlier versions did not write, but none that is compared."""
    results = load_results(data, whole=False)
    for path, document, keys in (
        (data / "judgements/metrics.json", results.judged, ("method",)),
        (data / "model/metrics.json", results.training, ("initial", "validation_loss")),
    ):
        value: Any = document
        for key in keys:
            value = value.get(key) if isinstance(value, dict) else None
        if value is None:
            raise UserError(
                f"{path} has no usable `{'.'.join(keys)}`, which a comparison needs: run `dvc repro` there with code "
                "that writes it, and commit dvc.lock"
            )
    return results


def _made_with(revision: Revision) -> dict[str, str]:
    """Return what is recorded of how the model was made; empty for runs of versions that did not record it."""
    published = [SPEED[1]] if revision.commit else [path for path in SPEED if (revision.root / path).is_file()]
    try:
        text = revision.text(published[0]) if published else "{}"
    except UserError:  # there is none
        return {}
    remedy = "run `dvc repro` there, and commit metrics/"
    speed = parsed_json(text, published[0] if published else "", remedy)
    made = checked(speed, Speed, published[0] if published else "", remedy, whole=False).get("made_with", {})
    return {key: made[key] for key in MADE_WITH if key in made}


def _read_records(folder: Path) -> dict[str, Record]:
    return {
        row["id"]: Record(split, row["instruction"], row["input"], row["output"], row["category"])
        for split in SPLITS
        for row in read_records(folder / f"{split}.parquet")
    }


def _statistics(score: dict[str, Any]) -> dict[str, float]:
    return {key: value for key, value in score.items() if isinstance(value, float) and key != "score"}
