"""The stages of a sweep on a tiny model, as DVC runs them: killed, enlarged, the same bytes."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from ruamel.yaml import YAML

from reprotune.files import read_json
from tests.runs.conftest import project  # noqa: F401 - a fixture

ROOT = Path(__file__).resolve().parents[2]
DEFINITION: dict[str, Any] = {
    "space": {
        "finetune.learning_rate": {"low": 1e-3, "high": 3e-2, "scale": "log"},
        "finetune.epochs": [2, 3],
        "finetune.batch_size": [4, 8],
    },
    "fixed": {"finetune.schedule": "wsd"},
    "rungs": [0.25, 0.5],
    "fresh_seeds": [11, 12, 13],
}
FILES = ("trials.parquet", "rows.parquet", "result.json", "importance.json", "curves.csv", "effects.csv", "index.html")


def define(root: Path, trials: int) -> None:
    (root / "sweep").mkdir(exist_ok=True)
    with (root / "sweep/tiny.yaml").open("w", encoding="utf-8") as file:
        YAML().dump({**DEFINITION, "trials": trials}, file)


def start(root: Path, stage: str = "sweep") -> "subprocess.Popen[str]":
    path = os.pathsep.join((str(ROOT), str(ROOT / "src")))
    return subprocess.Popen(
        [sys.executable, "-m", f"stages.{stage}", "tiny"],
        cwd=root,
        env=os.environ | {"PYTHONPATH": path},
        stderr=subprocess.PIPE,
        text=True,
    )


def run(root: Path) -> tuple[dict[str, bytes], str]:
    """Run both stages to the end; return the files, and what was said."""
    said = ""
    for stage in ("sweep", "sweep_report"):
        process = start(root, stage)
        said += process.communicate(timeout=600)[1]
        assert process.returncode == 0, said
    return {name: (root / "data/sweep/tiny" / name).read_bytes() for name in FILES}, said


@pytest.mark.slow
def test_a_sweep_that_was_killed_twice_and_enlarged_repeats_nothing_and_ends_as_a_fresh_one(
    project: Path,  # noqa: F811
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    define(project, 4)
    for runs in (1, 3):
        process = start(project)
        deadline = time.monotonic() + 300
        while len(list(project.glob(".reprotune/trials/*/rungs.json"))) < runs:
            assert time.monotonic() < deadline and process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    few, _ = run(project)
    kept = {path: path.stat().st_mtime_ns for path in project.glob(".reprotune/trials/*/training.json")}

    define(project, 8)
    many, _ = run(project)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    before = pq.read_table(project / "data/sweep/tiny/trials.parquet").to_pylist()
    assert {row["trial"] for row in before} == {0, *range(1, 9)}

    for path in project.glob(".reprotune/trials"):
        path.rename(project / ".reprotune/aside")
    (project / ".reprotune/sweep").rename(project / ".reprotune/sweep-aside")
    fresh, _ = run(project)
    assert fresh == many
    assert few != many
    result = read_json(project / "data/sweep/tiny/result.json", "delete it")
    assert result["trials"]["begun"] == 8


def test_faults_are_one_sentence(project: Path) -> None:  # noqa: F811
    define(project, 3)
    process = start(project)
    said = process.communicate(timeout=120)[1]
    assert process.returncode == 1
    assert "sweep: error: sweep/tiny.yaml: trials is 3: with 2 rungs and eta 2 none would go to the end" in said
    assert "Traceback" not in said
