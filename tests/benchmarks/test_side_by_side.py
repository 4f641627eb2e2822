"""The benchmark commands run to their tables, on a miniature; what they say of speed is not looked at."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"

pytestmark = pytest.mark.slow


def benchmark(tmp_path: Path, name: str, *options: str) -> tuple[str, dict[str, Any]]:
    """Run a benchmark; returns what it printed and the figures it wrote."""
    output = tmp_path / "figures.json"
    command = [sys.executable, str(BENCHMARKS / f"{name}.py"), *options, "--output", str(output)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert run.returncode == 0, run.stderr
    return run.stdout, json.loads(output.read_text(encoding="utf-8"))


def data_option(shared_data: Path) -> list[str]:
    return ["--data", str(shared_data / "llms-from-scratch/instruction-data.json")]


def test_training_side_by_side(tmp_path: Path, shared_data: Path) -> None:
    options = ["--size", "miniature", "--rounds", "1", "--steps", "3", "--checkpointing", *data_option(shared_data)]
    table, figures = benchmark(tmp_path, "training", *options)
    plain, checkpointed = figures["results"]["reprotune"][0], figures["results"]["checkpointing"][0]
    assert plain["losses"] == pytest.approx(checkpointed["losses"], abs=1e-3)
    assert len(plain["losses"]) == 5
    assert plain["trained_tokens"] == checkpointed["trained_tokens"]
    assert 0.2 < plain["spared_share"] < 0.5, "the chapter's rows begin alike"
    assert table.count("| reprotune (") == 2
    assert "Ceiling: matrix products alone" in table


def test_decoding_side_by_side(tmp_path: Path, shared_data: Path) -> None:
    options = ["--size", "miniature", "--prompts", "6", "--rounds", "1", *data_option(shared_data)]
    table, figures = benchmark(tmp_path, "decoding", *options)
    assert figures["results"]["reprotune fp32"][0]["answers"] == figures["results"]["transformers"][0]["answers"]
    assert "6 of 6" in table


def test_multiple_choice_side_by_side(tmp_path: Path, shared_data: Path) -> None:
    options = ["--size", "miniature", "--items", "2", "--shots", "0", "--rounds", "1", "--formulations", "letters"]
    table, figures = benchmark(tmp_path, "multiple_choice", *options, "--mmlu", str(shared_data / "mmlu"))
    found = figures["results"]["letters, 0 shots"]
    pairs = zip(found["reprotune"][0]["logprobs"], found["lm-eval"][0]["logprobs"], strict=True)
    assert all(one == pytest.approx(other, abs=1e-4) for one, other in pairs)
    assert "| 6 of 6 |" in table


def test_data_stages_at_scale(tmp_path: Path) -> None:
    table, figures = benchmark(tmp_path, "scale", "--sizes", "2000", "4000")
    assert [result["rows"] for result in figures["results"]] == [2000, 4000]
    assert all(result["tokenize"]["memory_mb"] > 0 for result in figures["results"])
    assert figures["broken"] == []
    assert "| tokenize | 4,000 |" in table
