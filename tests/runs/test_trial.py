"""Training beside the pipeline: what the stage would make, never twice, whatever it is interrupted by."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import torch

from reprotune.artifacts import TOKENS, read_table, write_table
from reprotune.params.sections.finetune import FinetuneParams
from reprotune.runs.changes import changed_params
from reprotune.runs.trial import CHECKPOINTS, drop_model, train
from reprotune.training.loop import Trainer

ROOT = Path(__file__).resolve().parents[2]


def params(**changes: Any) -> FinetuneParams:
    return changed_params({f"finetune.{key}": value for key, value in changes.items()}).finetune


def contents(folder: Path | None) -> dict[str, bytes]:
    assert folder is not None
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def no_training(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("a step was trained")

    monkeypatch.setattr(Trainer, "step", refuse)


def killed_after(steps: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Save at every step, and end like a killed process after `steps` of them."""
    step = Trainer._after_step

    def after_step(trainer: Trainer, progress: Any, batches: int) -> None:
        step(trainer, progress, batches)
        trainer.save(progress)
        if progress.step == steps:
            raise KeyboardInterrupt

    monkeypatch.setattr(Trainer, "_after_step", after_step)


@pytest.mark.parametrize("changes", [{}, {"method": "lora", "seed": 5}, {"init": "random", "seed": 7}])
def test_the_stage_makes_the_same_bytes(project: Path, changes: dict[str, Any]) -> None:
    trained = train(params(**changes))
    changed = changed_params({f"finetune.{key}": value for key, value in changes.items()})
    (project / "params.yaml").write_text(changed.model_dump_json())  # JSON is YAML, too
    threads = str(torch.get_num_threads())  # sums of floating-point numbers depend on it
    environment = {"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}", "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": threads}
    command = [sys.executable, "-m", "stages.finetune"]
    subprocess.run(command, cwd=project, env=environment, check=True, capture_output=True)
    assert contents(trained.model) == contents(project / "data/model")


def test_a_seed_of_its_own_makes_another_run(project: Path) -> None:
    one, other = train(params(seed=1)), train(params(seed=2))
    assert one.key != other.key
    assert contents(one.model)["model.safetensors"] != contents(other.model)["model.safetensors"]
    assert one.finished
    assert one.steps == one.total_steps == len(one.history) == 6
    assert one.validation_loss == one.metrics["best"]["validation_loss"]
    assert one.seconds > 0


def test_other_inputs_make_another_run(project: Path) -> None:
    one = train(params())
    path = project / "data/tokens/train.parquet"
    rows = read_table(path, TOKENS).to_pylist()
    write_table(path, pa.Table.from_pylist(rows[:-1], schema=TOKENS))
    assert train(params()).key != one.key


def test_a_run_is_done_once(project: Path, request: pytest.FixtureRequest) -> None:
    first = train(params())
    request.getfixturevalue("no_training")
    assert train(params()) == first
    assert not (first.folder / CHECKPOINTS).exists()


@pytest.mark.parametrize("steps", [1, 3, 5, 6])
def test_a_killed_run_goes_on(project: Path, steps: int, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = contents(train(params()).model)
    shutil.rmtree(project / ".reprotune")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        killed_after(steps, patch)
        train(params())
    taken = 0
    step = Trainer.step

    def counted(*arguments: Any) -> None:
        nonlocal taken
        taken += 1
        step(*arguments)

    monkeypatch.setattr(Trainer, "step", counted)
    assert contents(train(params()).model) == whole
    assert taken == 6 - steps


def test_a_rung_changes_nothing(project: Path) -> None:
    straight = train(params(early_stopping_patience=1))
    shutil.rmtree(project / ".reprotune")
    first = train(params(early_stopping_patience=1), until=2)
    assert not first.finished
    assert first.model is None
    assert first.steps == len(first.history) == 2
    second = train(params(early_stopping_patience=1), until=4)
    assert second.history[:2] == first.history
    assert second.validation_loss < first.validation_loss
    last = train(params(early_stopping_patience=1))
    assert last.history == straight.history
    assert last.metrics == straight.metrics


def test_a_rung_that_was_climbed_costs_nothing(project: Path, request: pytest.FixtureRequest) -> None:
    climbed = [train(params(), until=step) for step in (2, 4)]
    train(params())
    request.getfixturevalue("no_training")
    assert [train(params(), until=step) for step in (2, 4)] == climbed


@pytest.mark.parametrize("ended", [False, True])
def test_a_rung_that_was_passed_is_measured_afterwards(project: Path, ended: bool) -> None:
    expected = train(params(), until=2).validation_loss
    shutil.rmtree(project / ".reprotune")
    ahead = train(params(), until=None if ended else 4)
    assert train(params(), until=2).validation_loss == expected
    assert train(params(), until=None if ended else 4) == ahead
    assert train(params()).finished


def test_a_rung_beyond_the_end_is_the_end(project: Path) -> None:
    assert train(params(), until=100) == train(params())


def test_dropped_weights_are_made_again_only_where_they_are_needed(project: Path) -> None:
    whole = train(params())
    weights = contents(whole.model)
    drop_model(whole)
    assert train(params()).model is None
    assert train(params()).metrics == whole.metrics
    assert contents(train(params(), needs_model=True).model) == weights
