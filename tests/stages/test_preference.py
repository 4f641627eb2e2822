"""The stage preference, as `python -m stages.preference` runs it."""

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq


def test_without_votes_it_writes_that_there_are_none(tmp_path: Path, run_stage: Callable) -> None:
    (tmp_path / "data/votes").mkdir(parents=True)
    run = run_stage("preference")
    assert run.returncode == 0, run.stderr
    found = json.loads((tmp_path / "data/preference/metrics.json").read_text(encoding="utf-8"))
    assert (found["votes"], found["comparisons"], found["outdated"]) == (0, {}, 0)
    assert pq.read_table(tmp_path / "data/preference/votes.parquet").num_rows == 0


def test_imported_votes_are_rated_and_counted_the_same_again(
    tmp_path: Path, run_stage: Callable, read_bytes: Callable
) -> None:
    rows = [
        {"model_a": first, "model_b": second, "winner": winner, "voter": f"v{number % 3}", "question": str(number)}
        for number in range(30)
        for first, second in [(("x", "y"), ("y", "z"), ("z", "x"))[number % 3]]
        for winner in ["model_a" if number % 4 else "model_b"]
    ]
    (tmp_path / "data/votes").mkdir(parents=True)
    (tmp_path / "data/votes/all.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    assert run_stage("preference").returncode == 0
    first = read_bytes("data/preference")
    assert len(json.loads(first["metrics.json"])["ratings"]["models"]) == 3
    assert run_stage("preference").returncode == 0
    assert read_bytes("data/preference") == first
    assert run_stage("preference", max_votes_per_voter=4).returncode == 0
    assert json.loads(read_bytes("data/preference")["metrics.json"])["votes"] == 12


def test_a_damaged_file_of_votes_stops_it_with_one_sentence(tmp_path: Path, run_stage: Callable) -> None:
    (tmp_path / "data/votes").mkdir(parents=True)
    (tmp_path / "data/votes/ada.jsonl").write_text('{"ballot": "77"}\n', encoding="utf-8")
    run = run_stage("preference")
    assert run.returncode == 1
    assert run.stderr.startswith("preference: error: data/votes/ada.jsonl line 1: pair is missing: give the file")
    assert "Traceback" not in run.stderr
