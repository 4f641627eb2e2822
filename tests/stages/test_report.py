"""The stage report, as `python -m stages.report` runs it."""

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.builders.benchmark import write_benchmark

ROOT = Path(__file__).resolve().parents[2]
WRITTEN = (
    "metrics/scores.json",
    "metrics/training.json",
    "metrics/data.json",
    "metrics/speed.json",
    "metrics/benchmark.json",
    "metrics/preference.json",
    "metrics/export.json",
    "metrics/plots/loss.csv",
    "metrics/plots/scores.csv",
    "metrics/plots/length.csv",
    "metrics/plots/categories.csv",
    "metrics/plots/subjects.csv",
    "data/report/index.html",
    "data/report/rows.csv",
)


def run_stage(workspace: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "stages.report"]
    return subprocess.run(command, cwd=workspace, env=environment, capture_output=True, text=True, check=False)


def test_writes_everything_and_the_same_again(workspace: Path) -> None:
    first = run_stage(workspace)
    assert first.returncode == 0, first.stderr
    written = {name: (workspace / name).read_bytes() for name in WRITTEN}
    assert json.loads(written["metrics/scores.json"])["finetuned"]["score"] == 57.9
    assert json.loads(written["metrics/data.json"])["raw"]["rejected"] == 7
    assert json.loads(written["metrics/benchmark.json"])["exam"]["cloze_0shot_plain"]["finetuned"]["n"] == 180
    assert b"fine-tuned model is clearly better" in written["data/report/index.html"]
    exported = json.loads(written["metrics/export.json"])
    assert exported["f16"] == {"bytes": 34_373_056, "same_prompts": 1.0, "same_ids": 1.0, "same_answers": 0.95}
    assert "trained" not in json.loads(written["metrics/speed.json"])
    assert json.loads(written["metrics/preference.json"]) == {"votes": 0}
    assert run_stage(workspace).returncode == 0
    assert {name: (workspace / name).read_bytes() for name in WRITTEN} == written


def test_a_run_without_a_benchmark_publishes_none(workspace: Path) -> None:
    write_benchmark(workspace / "data")
    run = run_stage(workspace)
    assert run.returncode == 0, run.stderr
    assert json.loads((workspace / "metrics/benchmark.json").read_text()) == {}
    assert (workspace / "metrics/plots/subjects.csv").read_text().count("\n") == 1
    assert "Benchmarks" not in (workspace / "data/report/index.html").read_text()


def test_a_missing_artifact_is_one_sentence(workspace: Path) -> None:
    (workspace / "data/tokens/summary.json").unlink()
    run = run_stage(workspace)
    assert run.returncode == 1
    sentence = "report: error: data/tokens/summary.json is missing: run `dvc repro` (or `dvc pull`) to make it"
    assert run.stderr.startswith(sentence)
    assert "Traceback" not in run.stderr
