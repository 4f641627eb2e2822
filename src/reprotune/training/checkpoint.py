"""Saved progress of a training run: enough to resume bit for bit after a kill at any moment.

A checkpoint is a safetensors file (trained weights, AdamW's moments), another of the best weights so far, and a JSON
file (counters, loss history) that has the names and hashes of both. The JSON file is renamed into place last, so a kill
in between leaves the checkpoint before it valid. It has a hash of itself, too: a digit that a disk has changed would
otherwise get into the loss curve.
"""

import hashlib
import json
import os
import shutil
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from reprotune.artifacts import replaced_file, write_text
from reprotune.console import note
from reprotune.errors import UserError
from reprotune.scratch import file_sha256


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


class DamagedCheckpointError(UserError):
    """A checkpoint that cannot be gone on from; the message says why."""


class SavedFile(NamedTuple):
    """A tensor file and the hash of its bytes."""

    name: str
    sha256: str


class CheckpointStore:
    """The checkpoints of one run (one fingerprint of params and inputs) in a scratch folder.

    The two latest are kept: if one is damaged, by a full disk or a power cut, the run goes on from the one before.
    """

    def __init__(self, folder: Path, device: torch.device) -> None:
        self.folder = folder
        self.device = device
        self._best: SavedFile | None = None

    def save(self, progress: Progress, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        """Write the state after `progress.step` updates; of older ones, only the latest stays."""
        self._keep_latest()  # before writing, so that never more than two are on the disk
        state = self._save(f"state-{progress.step}", {**_weights(model), **_moments(model, optimizer)})
        self._write_index(progress, state)

    def restore(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> Progress:
        """Load the latest state that is whole into `model` and `optimizer`; fresh `Progress` where there is none."""
        for index in self._indexes():
            try:
                progress, state, best = _read_index(index)
                if best is not None:
                    self._load(best, _shapes(model))
                if state is not None:
                    tensors = self._load(state, _shapes(model))
                    _restore_weights(model, tensors)
                    _restore_moments(model, optimizer, tensors)
            except DamagedCheckpointError as fault:
                note(f"finetune: {index} is of no use ({fault}), so training goes on from an earlier point")
                index.unlink()
            else:
                self._best = best
                return progress
        return Progress()

    def save_best(self, model: nn.Module, step: int) -> None:
        """Keep the weights of the best validation so far; older ones stay while a checkpoint refers to them."""
        self._best = self._save(f"best-{step}", _weights(model))

    def finish(self, progress: Progress) -> None:
        """Keep what the result needs once training has ended, the counters and the best weights, and nothing else.

        They are the only copy of the result until DVC has saved the stage's outs.
        """
        self._write_index(progress, None)
        self._keep_latest()

    def load_best(self, model: nn.Module) -> None:
        """Load the weights kept by `save_best` into `model`; raises `DamagedCheckpointError` if they are not whole."""
        if self._best is None:
            raise DamagedCheckpointError("it has no best weights")
        _restore_weights(model, self._load(self._best, _shapes(model)))

    def clear(self) -> None:
        """Delete the run's checkpoints."""
        shutil.rmtree(self.folder)

    def _indexes(self) -> list[Path]:
        """Return the JSON files of the checkpoints, the latest first."""
        return sorted(self.folder.glob("progress-*.json"), key=_step, reverse=True)

    def _write_index(self, progress: Progress, state: SavedFile | None) -> None:
        index = self.folder / f"progress-{progress.step}.json"
        content = {"state": state, "best": self._best, "progress": asdict(progress)}
        write_text(index, json.dumps({**content, "sha256": _sha256(content)}))
        _force_to_disk(index)
        _force_to_disk(self.folder)

    def _keep_latest(self) -> None:
        """Delete all checkpoints but the latest, and every tensor file that neither it nor the next one refers to."""
        for old in self._indexes()[1:]:
            old.unlink()
        used = {self._best.name} if self._best else set()
        for index in self._indexes():
            with suppress(DamagedCheckpointError):
                used |= {file.name for file in _read_index(index)[1:] if file is not None}
        for path in self.folder.glob("*.safetensors"):
            if path.name not in used:
                path.unlink()

    def _save(self, name: str, tensors: dict[str, Tensor]) -> SavedFile:
        """Write tensors; the file is on the disk, not just in memory, before anything refers to it."""
        path = self.folder / f"{name}.safetensors"
        with replaced_file(path) as temporary:
            save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, temporary)
            _force_to_disk(temporary)
        return SavedFile(path.name, file_sha256(path))

    def _load(self, file: SavedFile, shapes: dict[str, torch.Size]) -> dict[str, Tensor]:
        """Read a tensor file; raises `DamagedCheckpointError` unless it is what was written and fits the model."""
        path = self.folder / file.name
        try:
            if file_sha256(path) != file.sha256:
                raise DamagedCheckpointError(f"{path.name} is not what was written")
            tensors = load_file(path, device=str(self.device))
        except FileNotFoundError as error:
            raise DamagedCheckpointError(f"{path.name} is gone") from error
        except SafetensorError as error:
            raise DamagedCheckpointError(f"{path.name}: {error}") from error
        found = {name: tensor.shape for name, tensor in tensors.items() if name.startswith("weight.")}
        if found != {f"weight.{name}": shape for name, shape in shapes.items()}:
            raise DamagedCheckpointError(f"{path.name} holds other weights than the model has")
        return tensors


def _step(index: Path) -> int:
    step = index.stem.removeprefix("progress-")
    return int(step) if step.isdecimal() else -1


def _read_index(path: Path) -> tuple[Progress, SavedFile | None, SavedFile | None]:
    """Return the counters, the state and the best weights of a checkpoint; raises `DamagedCheckpointError`."""
    try:
        saved = json.loads(path.read_text(encoding="utf-8"))
        if saved.pop("sha256") != _sha256(saved):
            raise DamagedCheckpointError(f"{path.name} is not what was written")
        values = saved["progress"]
        progress = Progress(**{**values, "history": [LossRecord(**record) for record in values["history"]]})
        files = [None if saved[kind] is None else SavedFile(*map(str, saved[kind])) for kind in ("state", "best")]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DamagedCheckpointError(f"{type(error).__name__}: {error}") from error
    return progress, files[0], files[1]


def _sha256(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _force_to_disk(path: Path) -> None:
    """Wait until a file's content, or a folder's entries, would outlast a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _shapes(model: nn.Module) -> dict[str, torch.Size]:
    return {name: parameter.shape for name, parameter in model.named_parameters() if parameter.requires_grad}


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
