"""Experiments of `dvc exp run`, compared and gated by their names."""

from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.pipeline, pytest.mark.slow]


@pytest.fixture(scope="module")
def experiments(finished: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The finished repository with two experiments, run aside; the workspace is as it was."""
    clone = finished.copy(tmp_path_factory.mktemp("experiments") / "clone")
    for name, tokens in (("short-answers", 3), ("long-answers", 6)):
        clone.run("dvc", "exp", "run", "--temp", "--name", name, "--set-param", f"generate.max_new_tokens={tokens}")
    return clone


def test_an_experiment_is_compared_by_its_name(experiments: Any) -> None:
    commit = experiments.run("dvc", "exp", "list", "--sha-only").stdout
    one = experiments.run("reprotune", "compare", "short-answers").stdout
    assert one.splitlines()[0].startswith("short-answers (")
    assert one.splitlines()[0].partition("(")[2][:8] in commit
    both = experiments.run("reprotune", "compare", "short-answers", "long-answers").stdout
    for shown, old, new in ((one, "3", "4"), (both, "3", "6")):
        (line,) = (line for line in shown.splitlines() if "generate.max_new_tokens" in line)
        assert line.split()[-2:] == [old, new]
        assert "were not made from" not in shown


def test_the_gate_takes_an_experiment(experiments: Any, tmp_path: Path) -> None:
    rules = tmp_path / "gate.yaml"
    rules.write_text("changes: [{metric: finetuned.score, better: higher, tolerance: 100}]\nlimits: []\n")
    done = experiments.run("reprotune", "gate", "--rules", str(rules), "--against", "long-answers")
    assert "kept" in done.stdout


def test_a_misspelt_experiment_is_one_sentence(experiments: Any) -> None:
    failed = experiments.run("reprotune", "compare", "short-answer", check=False)
    assert failed.returncode == 1
    assert "did you mean 'short-answers'?" in failed.stderr
    assert failed.stderr.count("\n") == 1
