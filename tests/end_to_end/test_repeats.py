"""Repeats under real DVC: a pipeline of their own, enlarged without work done twice, and used by `compare`."""

import pytest

from reprotune.artifacts import RESPONSES, read_table
from reprotune.runs.contracts import ANSWERS

pytestmark = [pytest.mark.pipeline, pytest.mark.slow]


def test_seeds_from_the_first_command_to_the_comparison(clone):
    shown = clone.run("reprotune", "repeat", "--seeds", "2").stdout
    assert "2 seeds" in shown
    trials = {path: path.stat().st_mtime_ns for path in (clone.root / ".reprotune/trials").glob("*/training.json")}
    assert len(trials) == 2
    answers = read_table(clone.root / "data/repeats/answers.parquet", ANSWERS).to_pylist()
    own = read_table(clone.root / "data/responses/finetuned.parquet", RESPONSES).to_pylist()
    first = {row["row"]: row["response"] for row in answers if row["seed"] == 123}
    assert first == {row["id"]: row["response"] for row in own}
    assert clone.read_json("metrics/repeats.json")["seeds"] == 2
    clone.commit("repeats")

    # the pipeline knows nothing of them
    assert clone.repro() == []
    clone.run("dvc", "checkout")
    assert clone.run("reprotune", "deps", "--check").stdout.startswith("dvc.yaml: the deps of every stage are exactly")
    assert "2 seeds" in clone.run("reprotune", "summary").stdout

    clone.run("reprotune", "repeat", "--seeds", "3")
    after = {path: path.stat().st_mtime_ns for path in (clone.root / ".reprotune/trials").glob("*/training.json")}
    assert len(after) == 3
    assert trials.items() <= after.items()
    more = read_table(clone.root / "data/repeats/answers.parquet", ANSWERS).to_pylist()
    assert more[: len(answers)] == answers

    clone.set_params({"finetune.learning_rate": 1e-3})
    clone.run("dvc", "repro")
    compared = clone.run("reprotune", "compare", "main").stdout
    assert "The repeats of workspace are not used (finetune.learning_rate: 0.0005 -> 0.001)" in " ".join(
        compared.split()
    )
    clone.run("reprotune", "repeat")
    compared = " ".join(clone.run("reprotune", "compare", "main").stdout.split())
    assert "are not used" not in compared
    assert "the means of 2 runs and 3 runs" in compared
