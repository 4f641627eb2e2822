"""The same inputs give the same bytes, on another day and in another folder."""

import shutil

import pytest

pytestmark = [pytest.mark.pipeline, pytest.mark.slow]

FOLDERS = [
    f"data/{name}" for name in ("raw", "base", "split", "formatted", "tokens", "model", "responses", "judgements")
]
MEASURED = ["data/speed", "data/report"]
"""How fast it went differs from run to run, and the report's page shows it; nothing else depends on either."""


def test_two_runs_give_the_same_bytes(clone, finished):
    for name in (".dvc/cache", ".dvc/tmp", ".reprotune", "metrics", *FOLDERS, *MEASURED):
        shutil.rmtree(clone.root / name)
    (clone.root / "dvc.lock").unlink()
    assert len(clone.repro()) == 16
    first, second = finished.hashes(*FOLDERS, "metrics"), clone.hashes(*FOLDERS, "metrics")
    assert first.pop("metrics/speed.json") != second.pop("metrics/speed.json"), "it measured twice"
    assert {"data/model/model.safetensors", "data/judgements/scores.parquet", "metrics/scores.json"} <= first.keys()
    assert second == first
