"""The training loop: equal over layouts, exact after a kill, best weights kept."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from reprotune.artifacts import write_text
from reprotune.compute.device import Compute
from reprotune.dataset.collate import TokenRows
from reprotune.errors import UserError
from reprotune.model.lora import add_adapters
from reprotune.model.network import Network
from reprotune.params.sections.finetune import FinetuneParams
from reprotune.training.checkpoint import CheckpointStore, Progress
from reprotune.training.loop import Trainer
from reprotune.training.optimizer import stable_steps

CPU = torch.device("cpu")
GOLDEN = Path(__file__).with_name("golden_losses.json")
Weights = dict[str, torch.Tensor]


@pytest.fixture
def make_trainer(
    tmp_path: Path, make_rows: Callable[..., TokenRows], make_model: Callable[..., Network], make_params: Any
) -> Callable[..., Trainer]:
    """Build a trainer on 45 training and 12 validation rows; `folder` names its checkpoints."""

    def make(folder: str = "run", save_seconds: float = 0.0, model: Network | None = None, **changes: Any) -> Trainer:
        path = tmp_path / folder
        path.mkdir(exist_ok=True)
        params: FinetuneParams = make_params(**changes)
        compute = Compute(CPU, torch.bfloat16 if params.precision == "bf16" else torch.float32)
        rows, held_out = make_rows(45), make_rows(12, seed=9)
        store = CheckpointStore(path, CPU)
        return Trainer(model or make_model(), rows, held_out, params, compute, store, save_seconds)

    return make


def weights(trainer: Trainer) -> Weights:
    return {name: parameter.detach().clone() for name, parameter in trainer.model.named_parameters()}


def losses(progress: Progress) -> list[tuple[float | None, float | None]]:
    return [(record.train_loss, record.validation_loss) for record in progress.history]


def test_every_token_is_computed_or_spared(make_trainer: Callable[..., Trainer]) -> None:
    progress = make_trainer(epochs=1, batching="packed").run()
    assert progress.positions_spared > 0
    assert progress.positions_computed + progress.positions_spared == progress.tokens_seen


needs_compiler = pytest.mark.skipif(not shutil.which("g++"), reason="torch.compile needs g++ on a CPU")


@pytest.mark.parametrize(
    "way",
    [
        pytest.param({}, id="as it comes"),
        pytest.param({"activation_checkpointing": True}, id="checkpointing"),
        pytest.param({"compile": "always"}, id="compiled", marks=[needs_compiler, pytest.mark.slow]),
    ],
)
@pytest.mark.parametrize("batching", ["static", "dynamic", "packed"])
@pytest.mark.parametrize("micro_batch_tokens", [1, 100, 10_000])
@pytest.mark.parametrize("mask_instruction", [False, True])
def test_no_way_of_computing_a_step_changes_it(
    way: dict[str, Any],
    batching: str,
    micro_batch_tokens: int,
    mask_instruction: bool,
    make_trainer: Callable[..., Trainer],
) -> None:
    reference = make_trainer("reference", epochs=1, batching="dynamic", mask_instruction=mask_instruction)
    expected = reference.run()
    trainer = make_trainer(
        epochs=1, batching=batching, micro_batch_tokens=micro_batch_tokens, mask_instruction=mask_instruction, **way
    )
    progress = trainer.run()
    assert progress.initial_loss == pytest.approx(expected.initial_loss, abs=2e-6)
    for mine, theirs in zip(progress.history, expected.history, strict=True):
        assert mine.train_loss == pytest.approx(theirs.train_loss, abs=2e-5)
    for name, value in weights(reference).items():
        torch.testing.assert_close(weights(trainer)[name], value, rtol=1e-3, atol=1e-4)


class KilledError(Exception):
    """Stands for a kill -9: nothing of the process survives but its files."""


@pytest.mark.parametrize("killed_after", range(1, 12))
@pytest.mark.parametrize("save_seconds", [0.0, 1e9])
def test_resuming_equals_never_having_stopped(
    killed_after: int, save_seconds: float, make_trainer: Callable[..., Trainer], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"eval_every": 2, "micro_batch_tokens": 100, "learning_rate": 0.02, "early_stopping_patience": 4}
    straight = make_trainer("straight", **settings)
    expected = straight.run()

    interrupted = make_trainer(save_seconds=save_seconds, **settings)
    step = Trainer.step

    def kill_in_step(trainer: Trainer, chosen: Any, progress: Progress) -> None:
        if progress.step == killed_after:
            raise KilledError
        step(trainer, chosen, progress)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "step", kill_in_step)
        with pytest.raises(KilledError):
            interrupted.run()
    resumed = make_trainer(**settings)
    progress = resumed.run()
    assert losses(progress) == losses(expected)
    assert (progress.best_step, progress.best_loss) == (expected.best_step, expected.best_loss)
    for name, value in weights(straight).items():
        assert torch.equal(weights(resumed)[name], value)


@pytest.mark.parametrize("rungs", [(3,), (2, 5), (1, 2, 3, 4, 5, 6, 7)])
def test_a_trial_that_is_stopped_in_its_stable_part_and_promoted_equals_one_that_never_stopped(
    rungs: tuple[int, ...], make_trainer: Callable[..., Trainer]
) -> None:
    settings = {"schedule": "wsd", "decay_fraction": 0.3, "learning_rate": 0.02, "eval_every": 4}
    straight = make_trainer("straight", save_seconds=1e9, **settings)
    expected = straight.run()
    assert stable_steps(straight.total_steps, straight.params) >= rungs[-1]

    for rung in rungs:
        stopped = make_trainer(save_seconds=1e9, **settings)
        assert stopped.run(until=rung).step == rung
        stopped.validation_loss()  # a rung is measured, and that changes nothing
    promoted = make_trainer(save_seconds=1e9, **settings)
    assert losses(promoted.run()) == losses(expected)
    for name, value in weights(straight).items():
        assert torch.equal(weights(promoted)[name], value)


def test_the_stable_part_knows_nothing_of_how_long_the_run_will_be(make_trainer: Callable[..., Trainer]) -> None:
    settings = {"schedule": "wsd", "warmup_fraction": 0.0, "decay_fraction": 0.2, "eval_every": 100}
    short = make_trainer("short", epochs=1, **settings)
    long = make_trainer("long", epochs=3, **settings)
    steps = stable_steps(short.total_steps, short.params)
    assert steps == 4
    assert losses(short.run(until=steps)) == losses(long.run(until=steps))
    for name, value in weights(short).items():
        assert torch.equal(weights(long)[name], value)


def test_a_kill_between_the_two_files_leaves_the_older_checkpoint(
    make_trainer: Callable[..., Trainer], monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = make_trainer()
    expected = make_trainer("straight").run()
    monkeypatch.setattr("reprotune.training.checkpoint.write_text", _second_call_fails())
    with pytest.raises(KilledError):
        trainer.run()
    monkeypatch.undo()
    assert losses(make_trainer().run()) == losses(expected)


def _second_call_fails() -> Callable[[Path, str], None]:
    calls = iter([write_text])

    def write(path: Path, text: str) -> None:
        try:
            next(calls)(path, text)
        except StopIteration:
            raise KilledError from None

    return write


def test_the_best_weights_are_kept(make_trainer: Callable[..., Trainer]) -> None:
    trainer = make_trainer(epochs=6, learning_rate=0.05, schedule="constant", eval_every=3)
    progress = trainer.run()
    measured = [record.validation_loss for record in progress.history if record.validation_loss is not None]
    assert progress.best_loss == min(measured) < measured[-1]
    assert trainer.validation_loss() == pytest.approx(progress.best_loss, abs=1e-6)


def test_early_stopping_waits_for_its_patience(make_trainer: Callable[..., Trainer]) -> None:
    settings = {"epochs": 6, "learning_rate": 0.05, "schedule": "constant", "eval_every": 1}
    trainer = make_trainer(early_stopping_patience=3, **settings)
    progress = trainer.run()
    assert progress.step == progress.best_step + 3 < trainer.total_steps


def test_validating_more_often_changes_no_update(make_trainer: Callable[..., Trainer]) -> None:
    rarely, often = make_trainer("rarely").run(), make_trainer("often", eval_every=1).run()
    assert [record.train_loss for record in rarely.history] == [record.train_loss for record in often.history]


def test_validation_is_weighted_by_tokens_and_independent_of_batches(make_trainer: Callable[..., Trainer]) -> None:
    small, large = make_trainer("a", micro_batch_tokens=1), make_trainer("b", micro_batch_tokens=100_000)
    assert small.validation_loss() == pytest.approx(large.validation_loss(), abs=1e-6)


def test_bfloat16_stays_near_float32_over_200_steps(make_trainer: Callable[..., Trainer]) -> None:
    """The stated bound: each training and validation loss within one per cent, all along the way."""
    settings = {"epochs": 34, "eval_every": 20, "learning_rate": 3e-3}
    exact = make_trainer("exact", **settings).run().history
    fast = make_trainer("fast", precision="bf16", **settings).run().history
    assert len(exact) == len(fast) == 204
    assert exact[-1].train_loss is not None and exact[0].train_loss is not None
    assert exact[-1].train_loss < exact[0].train_loss - 1, "there should be something to learn"
    for wanted, measured in zip(exact, fast, strict=True):
        assert measured.train_loss == pytest.approx(wanted.train_loss, rel=0.01)
        if wanted.validation_loss is not None:
            assert measured.validation_loss == pytest.approx(wanted.validation_loss, rel=0.01)


def test_the_golden_losses_of_a_fixed_run(make_trainer: Callable[..., Trainer]) -> None:
    """A change that moves these moves everybody's results: it should be meant, and said in the commit.

    `WRITE_GOLDEN_LOSSES=1 pytest tests/training/test_loop.py -k golden` writes the file anew.
    """
    progress = make_trainer(epochs=2, micro_batch_tokens=150, learning_rate=3e-3).run()
    measured = {
        "initial_validation_loss": progress.initial_loss,
        "best_validation_loss": progress.best_loss,
        "train_loss": [record.train_loss for record in progress.history],
    }
    if os.environ.get("WRITE_GOLDEN_LOSSES"):
        GOLDEN.write_text(json.dumps(measured, indent=2) + "\n", encoding="utf-8")
    for name, losses_then in json.loads(GOLDEN.read_text(encoding="utf-8")).items():
        assert measured[name] == pytest.approx(losses_then, abs=1e-4), name


def test_adapters_train_alone(
    make_trainer: Callable[..., Trainer], make_model: Callable[..., Network], make_params: Any
) -> None:
    model = make_model()
    add_adapters(model, make_params().lora, torch.Generator().manual_seed(0))
    trainer = make_trainer(model=model, learning_rate=0.02)
    before = weights(trainer)
    progress = trainer.run()
    changed = {name for name, value in weights(trainer).items() if not torch.equal(before[name], value)}
    assert changed == {name for name, p in model.named_parameters() if p.requires_grad}
    assert progress.best_loss is not None and progress.initial_loss is not None
    assert progress.best_loss < progress.initial_loss


def test_divergence_is_one_sentence(make_trainer: Callable[..., Trainer]) -> None:
    trainer = make_trainer(learning_rate=1e30, grad_clip=None, warmup_fraction=0.0)
    with pytest.raises(UserError, match=r"diverged at step \d+ .* lower finetune\.learning_rate"):
        trainer.run()


@pytest.mark.parametrize(
    ("dtype", "grad_clip", "remedies"),
    [
        (torch.float32, 1.0, "lower finetune.learning_rate"),
        (torch.float32, None, "lower finetune.learning_rate or set finetune.grad_clip to 1.0"),
        (torch.bfloat16, 1.0, "lower finetune.learning_rate or set finetune.precision to fp32"),
    ],
)
def test_divergence_is_answered_with_what_is_not_set_already(
    make_trainer: Callable[..., Trainer],
    monkeypatch: pytest.MonkeyPatch,
    dtype: torch.dtype,
    grad_clip: float | None,
    remedies: str,
) -> None:
    losses = iter([4.0, float("nan")])
    trainer = make_trainer(grad_clip=grad_clip)
    trainer.compute = Compute(trainer.compute.device, dtype)
    monkeypatch.setattr(trainer, "validation_loss", lambda: next(losses))
    with pytest.raises(UserError) as caught:
        trainer.run()
    assert str(caught.value).endswith(f"is not finite): {remedies}")


def test_a_validation_loss_that_is_no_number_is_never_the_best(
    make_trainer: Callable[..., Trainer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The training losses before it were finite."""
    losses = iter([4.0, float("nan")])
    trainer = make_trainer()
    monkeypatch.setattr(trainer, "validation_loss", lambda: next(losses))
    with pytest.raises(UserError, match="the validation loss is not finite"):
        trainer.run()
    assert not list(trainer.store.folder.glob("best-*"))


def test_damaged_weights_are_noticed_before_training(make_trainer: Callable[..., Trainer]) -> None:
    trainer = make_trainer()
    with torch.no_grad():
        trainer.model.ln_f.weight[0] = torch.nan
    with pytest.raises(UserError, match="base model's validation loss is not finite"):
        trainer.run()


def test_rows_beyond_the_context_are_refused(
    make_trainer: Callable[..., Trainer], make_rows: Any, monkeypatch: Any
) -> None:
    with pytest.raises(UserError, match=r"set tokenize\.max_length to 64 or less"):
        Trainer(
            make_trainer().model,
            make_rows(20, longest=80),
            make_rows(2),
            make_trainer().params,
            Compute(CPU, torch.float32),
            make_trainer().store,
        )


@pytest.mark.parametrize("token", [-1, 2**31 - 1])
def test_tokens_that_the_model_does_not_have_are_refused(
    make_trainer: Callable[..., Trainer], make_rows: Any, token: int
) -> None:
    trainer, validation = make_trainer(), make_rows(2)
    validation.ids[3] = token
    with pytest.raises(UserError, match=rf"data/tokens/validation\.parquet has the token {token}, but the model's"):
        Trainer(trainer.model, make_rows(4), validation, trainer.params, trainer.compute, trainer.store)
