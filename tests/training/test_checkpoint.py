"""Saved progress: whatever is damaged or gone, training goes on from what is whole and ends with the same weights."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from reprotune.compute.device import Compute
from reprotune.dataset.collate import TokenRows
from reprotune.model.config import ModelConfig
from reprotune.model.network import Network
from reprotune.training.checkpoint import CheckpointStore, DamagedCheckpointError, Progress
from reprotune.training.loop import Trainer

CPU = torch.device("cpu")
KILLED_AFTER = 9
Maker = Callable[[str], Trainer]


class KilledError(Exception):
    """Stands for a kill -9: nothing of the process survives but its files."""


@pytest.fixture
def make_trainer(
    tmp_path: Path, make_rows: Callable[..., TokenRows], make_model: Callable[..., Network], make_params: Any
) -> Maker:
    """Build a trainer of 12 steps that validates and saves after every third; `folder` names its checkpoints."""

    def make(folder: str) -> Trainer:
        (tmp_path / folder).mkdir(exist_ok=True)
        params = make_params(epochs=2, eval_every=3, learning_rate=0.02)
        store = CheckpointStore(tmp_path / folder, CPU)
        trainer = Trainer(
            make_model(), make_rows(45), make_rows(12, seed=9), params, Compute(CPU, torch.float32), store
        )
        after = trainer._after_step

        def save_every_third(progress: Progress, batches: int) -> None:
            after(progress, batches)
            if progress.step % 3 == 0:
                trainer.save(progress)

        trainer._after_step = save_every_third  # type: ignore[method-assign]
        return trainer

    return make


def weights(trainer: Trainer) -> dict[str, torch.Tensor]:
    return {name: parameter.detach().clone() for name, parameter in trainer.model.named_parameters()}


def killed(trainer: Trainer, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Run a trainer until a kill in step `KILLED_AFTER + 1`; return the folder of its checkpoints."""
    step = trainer.step

    def kill(chosen: Any, progress: Progress) -> None:
        if progress.step == KILLED_AFTER:
            raise KilledError
        step(chosen, progress)

    monkeypatch.setattr(trainer, "step", kill)
    with pytest.raises(KilledError):
        trainer.run()
    return trainer.store.folder


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def zero(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)


def rename_a_key(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b'"tokens_seen"', b'"tokens_read"').replace(b"weight.", b"height."))


DAMAGES = {
    "cut": cut,
    "empty": lambda path: path.write_bytes(b""),
    "gone": Path.unlink,
    "zeros": zero,
    "a flipped bit": flip,
    "another version's key": rename_a_key,
}


def test_the_two_latest_checkpoints_are_kept(make_trainer: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = killed(make_trainer("run"), monkeypatch)
    assert sorted(path.name for path in folder.glob("progress-*")) == ["progress-6.json", "progress-9.json"]
    assert sorted(path.name for path in folder.glob("state-*")) == ["state-6.safetensors", "state-9.safetensors"]


@pytest.mark.parametrize("file", ["progress-{}.json", "state-{}.safetensors", "best-{}.safetensors"])
@pytest.mark.parametrize(("damage", "steps"), [*((damage, (9,)) for damage in DAMAGES), ("cut", (6, 9))])
def test_damage_costs_time_but_no_result(
    damage: str,
    steps: tuple[int, ...],
    file: str,
    make_trainer: Maker,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    straight = make_trainer("straight")
    expected = straight.run()
    folder = killed(make_trainer("run"), monkeypatch)
    for step in steps:
        if (path := folder / file.format(step)).exists():  # not every validation is the best one
            DAMAGES[damage](path)
    capsys.readouterr()
    resumed = make_trainer("run")
    progress = resumed.run()
    said = capsys.readouterr().err
    assert ("is of no use" in said) == (damage != "gone" or not file.startswith("progress"))
    assert ("resuming after step 6" in said) == (steps == (9,))
    assert progress.history == expected.history
    assert all(torch.equal(weights(resumed)[name], value) for name, value in weights(straight).items())


def test_weights_of_another_shape_are_not_loaded(make_trainer: Maker) -> None:
    trainer = make_trainer("run")
    trainer.run()
    other = Network(ModelConfig(n_layer=2, n_head=2, n_embd=32, n_positions=64, vocab_size=256))
    with pytest.raises(DamagedCheckpointError, match="holds other weights than the model has"):
        trainer.store.load_best(other)


def test_a_finished_run_gives_its_result_again_without_training(
    make_trainer: Maker, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first = make_trainer("run")
    expected = first.run()
    folder = first.store.folder
    best = f"best-{expected.best_step}.safetensors"
    assert sorted(path.name for path in folder.iterdir()) == [best, f"progress-{expected.step}.json"]
    again = make_trainer("run")
    monkeypatch.setattr(again, "step", None)
    found = again.run()
    assert "training had ended" in capsys.readouterr().err
    assert (found.history, found.best_step, found.tokens_seen) == (
        expected.history,
        expected.best_step,
        expected.tokens_seen,
    )
    assert all(torch.equal(weights(again)[name], value) for name, value in weights(first).items())
