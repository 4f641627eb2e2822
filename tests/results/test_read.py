"""Reading a finished run: artifacts that belong together, and rows to show."""

from pathlib import Path

import pytest

from reprotune.errors import UserError
from reprotune.results.read import load_results, pick_examples


def test_examples_are_ranked_and_never_repeat(workspace: Path) -> None:
    results = load_results(workspace / "data")
    examples = pick_examples(results.rows)
    assert {name: len(rows) for name, rows in examples.items()} == {"best": 5, "worst": 5, "random": 5}
    numbers = [row.number for rows in examples.values() for row in rows]
    assert len(set(numbers)) == 15
    scores = sorted(results.scores("finetuned"))
    assert [row.finetuned.score for row in examples["worst"]] == scores[:5]
    assert [row.finetuned.score for row in examples["best"]] == scores[:-6:-1]
    assert pick_examples(results.rows) == examples
    assert {name: len(rows) for name, rows in pick_examples(results.rows[:3]).items()} == {
        "best": 3,
        "worst": 0,
        "random": 0,
    }


def test_artifacts_that_do_not_belong_together_are_refused(workspace: Path) -> None:
    scores = workspace / "data/judgements/scores.parquet"
    kept = scores.read_bytes()
    scores.unlink()
    with pytest.raises(UserError, match=r"scores\.parquet is missing"):
        load_results(workspace / "data")
    scores.write_bytes(kept)
    (workspace / "data/model/metrics.json").unlink()
    with pytest.raises(UserError, match=r"model/metrics\.json is missing"):
        load_results(workspace / "data")
