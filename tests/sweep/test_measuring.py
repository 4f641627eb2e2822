"""Runs of trials with a real, tiny model: exact over rungs, failures with a reason, losses by row."""

from pathlib import Path

import pytest
import torch

from reprotune.params.sections.finetune import FinetuneParams
from reprotune.runs import trial
from reprotune.sweep import measuring
from reprotune.sweep.contracts import DIVERGED, OUT_OF_MEMORY, REFUSED
from reprotune.sweep.measuring import Runs
from reprotune.training.checkpoint import Progress
from reprotune.training.loop import DivergedError, Trainer

SETTINGS = {"schedule": "wsd", "epochs": 4, "learning_rate": 1e-2, "warmup_fraction": 0.1}


def params(**changes: object) -> FinetuneParams:
    return FinetuneParams.load("finetune").model_copy(update={**SETTINGS, **changes})


def test_a_run_through_rungs_ends_as_one_that_never_stopped(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = Runs()
    rungs = [runs.measure(params(), share) for share in (0.25, 0.5, 1.0)]
    assert [(found.step, found.steps) for found in rungs] == [(3, 12), (6, 12), (12, 12)]
    rows = runs.row_losses(params())
    monkeypatch.setenv("DVC_ROOT", str(project / "elsewhere"))
    straight = Runs().measure(params(), 1.0)
    assert (straight.loss, straight.tokens) == (rungs[-1].loss, rungs[-1].tokens)
    assert (Runs().row_losses(params()) == rows).all()


def test_what_was_measured_is_not_trained_again(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = [Runs().measure(params(), share) for share in (0.25, 1.0)]
    rows = Runs().row_losses(params())
    monkeypatch.setattr(Trainer, "step", lambda *_: pytest.fail("a step was made again"))
    assert [Runs().measure(params(), share) for share in (0.25, 1.0)] == first
    assert (Runs().row_losses(params()) == rows).all()


def test_losses_by_row_add_up_to_the_validation_loss_and_the_weights_go(project: Path) -> None:
    runs = Runs()
    found = runs.measure(params(), 1.0)
    ids, tokens = runs.validation_rows(params())
    rows = runs.row_losses(params())
    assert len(ids) == len(tokens) == len(rows)
    assert rows.sum() / tokens.sum() == pytest.approx(found.loss, abs=1e-5)
    assert list(project.glob(".reprotune/trials/*/model")) == []


def test_divergence_is_kept_with_its_reason(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wild = params(learning_rate=1e30, grad_clip=None, warmup_fraction=0.0)
    found = Runs().measure(wild, 0.5)
    assert found.failure == DIVERGED
    assert "training diverged at step" in str(found.reason)
    monkeypatch.setattr(measuring, "train", lambda *_, **__: pytest.fail("it was trained again"))
    assert Runs().measure(wild, 0.5) == found


def test_a_run_that_diverges_late_is_as_it_was_at_its_rungs(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    step = Trainer.step

    def late(trainer: Trainer, chosen: object, progress: Progress) -> None:
        if progress.step == 8:
            raise DivergedError("training diverged at step 8")
        step(trainer, chosen, progress)  # type: ignore[arg-type]

    monkeypatch.setattr(Trainer, "step", late)
    first = [Runs().measure(params(), share) for share in (0.25, 0.5, 1.0)]
    assert [found.failure for found in first] == [None, None, DIVERGED]
    assert [Runs().measure(params(), share) for share in (0.25, 0.5, 1.0)] == first


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("[enforce fail] can't allocate memory: 9 bytes")])
def test_full_memory_is_a_reason_and_the_run_is_tried_again(
    error: Exception, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(trial, "_trainer", full)
        found = Runs().measure(params(), 0.5)
    assert (found.failure, found.loss) == (OUT_OF_MEMORY, None)
    assert Runs().measure(params(), 0.5).failure is None


def test_other_errors_end_the_sweep(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("shapes do not fit")

    monkeypatch.setattr(trial, "_trainer", broken)
    with pytest.raises(RuntimeError, match="shapes do not fit"):
        Runs().measure(params(), 0.5)


def test_rows_that_fill_no_batch_are_refused(project: Path) -> None:
    found = Runs().measure(params(batch_size=25, drop_last=True), 0.5)
    assert (found.failure, found.loss) == (REFUSED, None)
    assert "24 training rows do not fill one batch of finetune.batch_size 25" in str(found.reason)


def test_a_rung_of_few_steps_is_at_least_one(project: Path) -> None:
    found = Runs().measure(params(epochs=1, batch_size=24, precision="fp32"), 0.25)
    assert (found.step, found.steps) == (1, 1)
    assert not torch.cuda.is_available() or found.loss is not None
