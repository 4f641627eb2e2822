"""The simulation of changes that do nothing, smaller: what `compare` and the gate make of two sets of repeats."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from reprotune.artifacts import STATISTICS, write_table
from reprotune.runs.contracts import ANSWERS

BENCHMARK = Path(__file__).resolve().parents[2] / "benchmarks/null_repeats.py"

pytestmark = pytest.mark.slow


def repeats(path: Path) -> None:
    """Write repeats of six seeds: 80 rows of ten kinds, mostly right, of which each seed gets some wrong."""
    draw = np.random.default_rng(0)
    rows = [
        {"seed": seed, "row": f"{row:03}", "category": f"kind {row % 10}", "response": "x", "status": "ok"}
        | {"score": 100.0 if draw.random() < 0.85 else 40.0, **dict.fromkeys(STATISTICS, 0.5)}
        for seed in range(6)
        for row in range(80)
    ]
    write_table(path, pa.Table.from_pylist(rows, schema=ANSWERS))


def test_a_difference_is_called_where_there_is_one(tmp_path: Path) -> None:
    repeats(tmp_path / "answers.parquet")
    output = tmp_path / "figures.json"
    options = ["--changes", "120", "--repeats", str(tmp_path / "answers.parquet"), "--output", str(output)]
    run = subprocess.run([sys.executable, str(BENCHMARK), *options], capture_output=True, text=True, check=False)
    found = json.loads(output.read_text(encoding="utf-8"))
    assert run.returncode == 0, run.stderr
    assert len(found) == 7
    assert all(one["called"] <= 0.05 and one["broken"] <= 0.05 and one["seen"] >= 0.8 for one in found)
    judge = next(one for one in found if one["rows"].startswith("judge"))
    assert judge["called_of_one_run_each"] > 0.1  # the noise of a seed, taken for a difference
