"""Saved progress of a training run: enough to resume bit for bit after a kill at any moment.

A checkpoint is one safetensors file (trained weights, AdamW's moments) and one JSON file (counters, loss history).
The JSON file names its tensor file and is renamed into place last, so a kill in between leaves the previous pair valid.
"""

import json
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from reprotune.artifacts import replaced_file, write_text


@dataclass
class LossRecord:
    """One line of loss.csv: an optimizer step, with the validation loss where it was measured."""

    step: int
    epoch: float
    tokens_seen: int
    learning_rate: float
    train_loss: float | None = None
    validation_loss: float | None = None


@dataclass
class Progress:
    """Everything a resumed run needs except tensors; `batch` counts within the epoch."""

    epoch: int = 0
    batch: int = 0
    step: int = 0
    tokens_seen: int = 0
    trained_tokens_seen: int = 0
    positions_computed: int = 0
    positions_spared: int = 0
    seconds: float = 0.0
    initial_loss: float | None = None
    best_loss: float | None = None
    best_step: int = 0
    evaluations_without_best: int = 0
    history: list[LossRecord] = field(default_factory=list)


class CheckpointStore:
    """The checkpoints of one run (one fingerprint of params and inputs) in a scratch folder."""

    def __init__(self, folder: Path, device: torch.device) -> None:
        self.folder = folder
        self.device = device
        self._index = folder / "progress.json"

    def save(self, progress: Progress, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        """Write the state after `progress.step` updates and delete the previous one."""
        tensors = self.folder / f"state-{progress.step}.safetensors"
        _save_tensors(tensors, {**_weights(model), **_moments(model, optimizer)})
        write_text(self._index, json.dumps({"tensors": tensors.name, "progress": asdict(progress)}))
        for old in self.folder.glob("state-*.safetensors"):
            if old != tensors:
                old.unlink()

    def restore(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> Progress:
        """Load the latest state into `model` and `optimizer`; fresh `Progress` where there is none."""
        if not self._index.is_file():
            return Progress()
        saved = json.loads(self._index.read_text(encoding="utf-8"))
        tensors = load_file(self.folder / saved["tensors"], device=str(self.device))
        _restore_weights(model, tensors)
        _restore_moments(model, optimizer, tensors)
        values = saved["progress"]
        return Progress(**{**values, "history": [LossRecord(**record) for record in values["history"]]})

    def save_best(self, model: nn.Module, step: int) -> None:
        """Keep the weights of the best validation so far.

        Older ones stay until `drop_old_bests`: the checkpoint that a kill leaves valid may still refer to them.
        """
        _save_tensors(self._best(step), _weights(model))

    def drop_old_bests(self, step: int) -> None:
        """Delete the best weights of all steps but `step`; called once a checkpoint refers to `step`."""
        for old in self.folder.glob("best-*.safetensors"):
            if old != self._best(step):
                old.unlink()

    def load_best(self, model: nn.Module, step: int) -> None:
        """Load the weights kept by `save_best` into `model`."""
        _restore_weights(model, load_file(self._best(step), device=str(self.device)))

    def clear(self) -> None:
        """Delete the run's checkpoints, once its result is safe."""
        shutil.rmtree(self.folder)

    def _best(self, step: int) -> Path:
        return self.folder / f"best-{step}.safetensors"


def _weights(model: nn.Module) -> dict[str, Tensor]:
    return {f"weight.{name}": p.detach() for name, p in model.named_parameters() if p.requires_grad}


def _moments(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    return {
        f"optimizer.{kind}.{name}": value
        for name, parameter in model.named_parameters()
        for kind, value in optimizer.state.get(parameter, {}).items()
    }


def _restore_weights(model: nn.Module, tensors: dict[str, Tensor]) -> None:
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.requires_grad:
                parameter.copy_(tensors[f"weight.{name}"])


def _restore_moments(model: nn.Module, optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    prefix = "optimizer."
    by_name = dict(model.named_parameters())
    for key, value in tensors.items():
        if key.startswith(prefix):
            kind, name = key.removeprefix(prefix).split(".", 1)
            optimizer.state[by_name[name]][kind] = value


def _save_tensors(path: Path, tensors: dict[str, Tensor]) -> None:
    with replaced_file(path) as temporary:
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, temporary)
