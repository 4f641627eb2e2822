"""One training run beside the pipeline: the same inputs, other params, in this process, never done twice.

A run lives in `.reprotune/trials/<key>/`, where the key is a hash of the params of fine-tuning, the inputs, the code
and the kind of machine: `checkpoints/` while it trains, then `model/`, and `training.json`, which says that it has
ended. A run that was killed goes on from its last checkpoint, bit for bit.
"""

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from reprotune.artifacts import replaced_directory, write_json
from reprotune.compute.device import Compute, pick_compute
from reprotune.dataset.collate import TokenRows
from reprotune.files import read_json
from reprotune.model.checkpoint import CONFIG, weight_files
from reprotune.params.sections.finetune import FinetuneParams
from reprotune.runs.keys import run_key
from reprotune.scratch import exclusive, scratch_directory
from reprotune.training.checkpoint import CheckpointStore, LossRecord, Progress
from reprotune.training.loop import Trainer
from reprotune.training.run import starting_model, write_model

TRIALS = "trials"
"""The folder in `.reprotune/`."""
ENDED, RUNGS, MODEL, CHECKPOINTS = "training.json", "rungs.json", "model", "checkpoints"
NONE: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True)
class Inputs:
    """What the pipeline has made ready for fine-tuning."""

    train: Path = Path("data/tokens/train.parquet")
    validation: Path = Path("data/tokens/validation.parquet")
    chat_template: Path = Path("data/formatted/chat_template.jinja")
    base: Path = Path("data/base")

    def files(self) -> Iterator[Path]:
        """Yield every file whose content decides the weights."""
        yield from (self.train, self.validation, self.base / CONFIG)
        yield from (self.base / name for name in weight_files(self.base))


INPUTS = Inputs()


class Trained(NamedTuple):
    """A run as far as it was asked for: to its end, or to a rung."""

    folder: Path
    """`.reprotune/trials/<key>`."""
    metrics: dict[str, Any]
    """As in data/model/metrics.json; empty before the end."""
    history: list[LossRecord]
    """A record for each optimizer step."""
    steps: int
    total_steps: int
    """Of the whole schedule, which early stopping may cut short."""
    validation_loss: float
    """At the end, of the best weights, which are the ones that are kept; at a rung, of the weights of that step."""
    seconds: float
    """Of training, interruptions not counted."""

    @property
    def key(self) -> str:
        """The hash of all that decides the weights."""
        return self.folder.name

    @property
    def finished(self) -> bool:
        """Whether training has ended."""
        return bool(self.metrics)

    @property
    def model(self) -> Path | None:
        """The folder of the weights, in Hugging Face layout; null before the end and where they were dropped."""
        path = self.folder / MODEL
        return path if path.is_dir() else None


def train(
    params: FinetuneParams, inputs: Inputs = INPUTS, until: int | None = None, needs_model: bool = False
) -> Trained:
    """Fine-tune with these params to the end, or up to the optimizer step `until`, unless that was done before.

    A rung changes nothing: its validation has no part in choosing the best weights or in early stopping. With
    `needs_model`, a run whose weights were dropped is done again. Raises `UserError` where training diverges, or
    another process is at work on the same run.
    """
    compute = pick_compute(params.precision)
    key = run_key("reprotune.training.run", params.model_dump(), compute, inputs.files())
    folder = scratch_directory(TRIALS, key)
    with exclusive(folder):
        # a kill may have left checkpoints beside the result
        if (folder / ENDED).is_file() and (folder / MODEL).is_dir():
            shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)
        ended, rungs = _read(folder / ENDED), _read(folder / RUNGS)
        if until is None:
            if not ended or (needs_model and not (folder / MODEL).is_dir()):
                ended = _to_the_end(folder, params, inputs, compute)
            return _trained(folder, ended)
        if str(until) not in rungs:
            rungs[str(until)] = _to_a_rung(folder, params, inputs, compute, until)
            write_json(folder / RUNGS, rungs)
        return _trained(folder, rungs[str(until)])


def drop_model(trained: Trained) -> None:
    """Delete the weights of a run, which take most of its room; metrics and history stay."""
    with exclusive(trained.folder):
        shutil.rmtree(trained.folder / MODEL, ignore_errors=True)


def _to_the_end(folder: Path, params: FinetuneParams, inputs: Inputs, compute: Compute) -> dict[str, Any]:
    trainer = _trainer(folder / CHECKPOINTS, params, inputs, compute)
    return _ended(folder, trainer, trainer.run(), inputs, compute)


def _to_a_rung(folder: Path, params: FinetuneParams, inputs: Inputs, compute: Compute, until: int) -> dict[str, Any]:
    """Train up to a step; where the run has passed it unmeasured, once more from the start, apart from the run."""
    if not (folder / ENDED).is_file():
        trainer = _trainer(folder / CHECKPOINTS, params, inputs, compute)
        progress = trainer.run(until)
        if progress.step < until or progress.step == trainer.total_steps:
            return _ended(folder, trainer, progress, inputs, compute)
        if progress.step == until:
            return _state(progress, trainer, trainer.validation_loss())
    apart = folder / f"until-{until}"
    trainer = _trainer(apart, params, inputs, compute)
    progress = trainer.run(until)
    state = _state(progress, trainer, trainer.validation_loss())
    shutil.rmtree(apart)
    return state


def _ended(folder: Path, trainer: Trainer, progress: Progress, inputs: Inputs, compute: Compute) -> dict[str, Any]:
    """Write what a run comes to at its end, and delete what it was continued from."""
    with replaced_directory(folder / MODEL) as model:
        write_model(trainer, progress, compute, inputs.base, inputs.chat_template, model)
    metrics = read_json(folder / MODEL / "metrics.json", f"delete {folder}")
    state = _state(progress, trainer, metrics["best"]["validation_loss"], metrics)
    write_json(folder / ENDED, state)
    shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)
    return state


def _trainer(checkpoints: Path, params: FinetuneParams, inputs: Inputs, compute: Compute) -> Trainer:
    checkpoints.mkdir(exist_ok=True)
    train, validation = TokenRows.read(inputs.train), TokenRows.read(inputs.validation)
    model = starting_model(params, inputs.base, compute.device)
    return Trainer(model, train, validation, params, compute, CheckpointStore(checkpoints, compute.device))


def _state(progress: Progress, trainer: Trainer, loss: float, metrics: Mapping[str, Any] = NONE) -> dict[str, Any]:
    return {
        "metrics": dict(metrics),
        "history": [asdict(record) for record in progress.history],
        "steps": progress.step,
        "total_steps": trainer.total_steps,
        "validation_loss": loss,
        "seconds": progress.seconds,
    }


def _read(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file; an empty one where there is none."""
    return dict(read_json(path, f"delete {path.parent}")) if path.is_file() else {}


def _trained(folder: Path, state: Mapping[str, Any]) -> Trained:
    history = [LossRecord(**record) for record in state["history"]]
    return Trained(folder, **{**state, "history": history})
