"""The reference pages are what the code says, and they leave nothing out."""

import csv
import json
from collections.abc import Collection, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from ruamel.yaml import YAML

from docs.artifact_keys import (
    BENCHMARK,
    CHECK_KINDS,
    CHECKS,
    JUDGE,
    JUDGE_HEALTH,
    JUDGE_PAIRS,
    MAPPING,
    PREFERENCE,
    TRUST,
)
from docs.artifacts_page import BY_COMMANDS, BY_REPEATS, BY_SWEEPS, STAGES, Artifact
from docs.generate import PAGES, is_current
from reprotune.artifacts import CONTRACTS
from reprotune.params.reference import param_entries
from tests.builders.clone import Clone
from tests.builders.judge_service import ScriptedJudge

ROOT = Path(__file__).resolve().parents[2]
ARTIFACTS = [artifact for artifacts in STAGES.values() for artifact in artifacts]
ONLY_JUDGED = {**JUDGE, **JUDGE_HEALTH, **JUDGE_PAIRS}.keys()
"""Not there, or left out of metrics/scores.json, where no judge was asked."""
OTHER_SOURCES = {"unused_columns", "shape", "not_taken"}
OTHER_SOURCES |= {f"contamination.{key}" for key in ("train_rows_like_test", "train_rows_like_validation", "removed")}
NOT_ALWAYS = {
    *MAPPING,
    *CHECKS,
    *CHECK_KINDS,
    *OTHER_SOURCES,
    *(f"{stage}.{key}" for stage in ("raw", "split") for key in OTHER_SOURCES),
}
NOT_ALWAYS |= {"<split>.trained_turns", "tokens.<split>.trained_turns"}
NOT_ALWAYS |= {key for key in BENCHMARK if ".groups." in key or key.endswith(".stderr_clustered")}
NOT_ALWAYS |= {*PREFERENCE, "ratings.separated", "ratings.tied_ranks", *(f"by_voter.<voter>.{key}" for key in TRUST)}
NOT_ALWAYS |= {"by_voter.<voter>.votes", "scorers.<name>.joined"}
COMPARED = {"same_prompts", "same_ids", "same_answers"}
NOT_ALWAYS |= {"checked_with", *(f"{of}<quantisation>.{key}" for of in ("", "files.") for key in COMPARED)}


@pytest.mark.parametrize("name", PAGES)
def test_generated_pages_are_current(name: str) -> None:
    assert is_current(name), f"docs/{name} is not what the code says: run `make generated` and commit it"


def test_every_param_has_a_meaning() -> None:
    assert [entry.key for entry in param_entries() if not entry.meaning] == []


def test_every_column_has_a_meaning() -> None:
    for schema, contract in CONTRACTS.items():
        assert list(contract.columns) == schema.names
        assert all(contract.columns.values())


def test_every_schema_and_key_is_on_the_page() -> None:
    beside = [*BY_COMMANDS, *BY_REPEATS, *BY_SWEEPS]
    shown = {artifact.schema for artifact in [*ARTIFACTS, *beside] if artifact.schema is not None}
    shown |= {schema for artifact in ARTIFACTS for schema in artifact.forms.values()}
    assert shown == set(CONTRACTS)
    assert all(meaning for artifact in ARTIFACTS for meaning in artifact.keys.values())


def test_every_stage_and_output_of_dvc_yaml_is_on_the_page() -> None:
    found: dict[str, list[str]] = {}
    for name, stage in YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"].items():
        for item, values in stage.get("foreach", {"": {}}).items():
            body = stage.get("do", stage)
            outs = [*body["outs"], *(next(iter(out)) for kind in ("metrics", "plots") for out in body.get(kind, []))]
            full = f"{name}@{item}" if item else name
            found[full] = [out.replace("${key}", item).replace("${item.out}", values.get("out", "")) for out in outs]
    assert set(found) == {stage for names in STAGES for stage in names.split(", ")}
    for names, artifacts in STAGES.items():
        paths = [path for artifact in artifacts for path in expanded(artifact.path)]
        outs = {out for name in names.split(", ") for out in found[name]}
        assert [out for out in outs if not any(Path(path).is_relative_to(out) for path in paths)] == []
        assert [path for path in paths if not any(Path(path).is_relative_to(out) for out in outs)] == []


@pytest.mark.pipeline
def test_a_finished_run_holds_what_the_page_says(finished: Clone) -> None:
    files = {path: artifact for artifact in ARTIFACTS for path in expanded(artifact.path)}
    for path, artifact in files.items():
        check_file(finished.root / path, artifact, {*NOT_ALWAYS, *ONLY_JUDGED})
    folders = tuple(path for path in files if path.endswith("/"))
    written = {
        path.relative_to(finished.root).as_posix()
        for folder in ("data", "metrics")
        for path in (finished.root / folder).rglob("*")
        if path.is_file() and path.name != ".gitignore" and "embedded" not in path.parts
    }
    assert {path for path in written - files.keys() if not path.startswith((*folders, "data/votes/"))} == set()


@pytest.mark.pipeline
def test_a_judged_run_holds_what_the_page_says(clone: Clone, service: ScriptedJudge) -> None:
    """The scripted judge says the same of everything, so the checks of the judge are switched off."""
    asked = {"backend": "openai", "min_coverage": 0.0, "min_canary_pass": 0.0}
    clone.set_params({f"judge.{key}": value for key, value in asked.items()})
    clone.run("env", f"OPENAI_BASE_URL=http://{service.address}/v1", "python", "-m", "stages.judge")
    artifacts = {artifact.path: artifact for artifact in STAGES["judge"]}
    for path, artifact in artifacts.items():
        check_file(clone.root / path, artifact, NOT_ALWAYS)
    lines = (clone.root / "data/judgements/verdicts.jsonl").read_text(encoding="utf-8").splitlines()
    assert {json.loads(line)["purpose"] for line in lines} == {"score", "canary", "pairwise", "pair_canary"}
    assert all(json.loads(line).keys() == artifacts["data/judgements/verdicts.jsonl"].keys.keys() for line in lines)


def check_file(path: Path, artifact: Artifact, may_lack: Collection[str]) -> None:
    if path.suffix == ".parquet":
        assert pq.read_schema(path).names == artifact.schema.names
    elif path.suffix == ".csv":
        with path.open(encoding="utf-8-sig") as file:
            assert next(csv.reader(file)) == list(artifact.keys)
    elif path.suffix == ".json":
        found = set(keys(json.loads(path.read_text(encoding="utf-8"))))
        assert [key for key in found if not any(matches(key, pattern) for pattern in artifact.keys)] == []
        unused = {pattern for pattern in artifact.keys if not any(matches(key, pattern) for key in found)}
        unused = {pattern for pattern in unused - set(may_lack) if not pattern.endswith(">")}
        assert unused == set(), f"{path.name} has no such keys"
    else:
        assert path.exists()


def expanded(path: str) -> Iterator[str]:
    """Expand braces as the shell does."""
    parts = [part.split(",") for piece in path.split("{") for part in piece.split("}")]
    return ("".join(choice) for choice in product(*parts))


def keys(value: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for key, item in value.items():
        if isinstance(item, dict):
            yield from keys(item, f"{prefix}{key}\0")
        else:
            yield f"{prefix}{key}"


def matches(key: str, pattern: str) -> bool:
    """Compare a key (nested ones joined by NUL) with one on the page, where `<name>` stands for anything."""
    parts, wanted = key.split("\0"), pattern.split(".")
    return len(parts) == len(wanted) and all(
        part == want if "<" not in want else fits(part, want) for part, want in zip(parts, wanted, strict=True)
    )


def fits(part: str, want: str) -> bool:
    before, _, rest = want.partition("<")
    after = rest.partition(">")[2]
    return part.startswith(before) and part.endswith(after) and len(part) > len(before) + len(after)
