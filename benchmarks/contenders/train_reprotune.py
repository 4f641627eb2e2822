"""This project's trainer, as the stage `finetune` runs it, on the given batches."""

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from side_by_side.machine import synchronize
from side_by_side.report import training_result
from side_by_side.rounds import contender_main

from reprotune.compute.device import keep_freed_memory, pick_compute
from reprotune.dataset.collate import TokenRows
from reprotune.model.weights import load_model
from reprotune.params.sections.finetune import FinetuneParams
from reprotune.training.checkpoint import CheckpointStore, Progress
from reprotune.training.loop import Trainer

ROOT = Path(__file__).resolve().parents[2]
CHAPTERS_WAY = {
    "mask_instruction": False,
    "schedule": "constant",
    "warmup_fraction": 0.0,
    "decay_all": True,
    "beta1": 0.9,
    "beta2": 0.999,
    "grad_clip": None,
}


def measure(task: dict[str, Any]) -> dict[str, Any]:
    keep_freed_memory()
    settings = {name: task[name] for name in ("learning_rate", "weight_decay")} | task.get("params", {})
    settings["mask_instruction"] = task["responses_only"]
    params = FinetuneParams.load("finetune", ROOT / "params.yaml").model_copy(update=CHAPTERS_WAY | settings)
    compute = pick_compute(params.precision)
    rows = TokenRows.from_lists(task["rows"])
    model = load_model(Path(task["model"]), compute.device)
    with tempfile.TemporaryDirectory() as scratch:
        trainer = Trainer(model, rows, rows, params, compute, CheckpointStore(Path(scratch), compute.device))
        progress = Progress()
        ends = [time.perf_counter()]
        for batch in task["batches"]:
            trainer.step(np.asarray(batch), progress)
            synchronize(compute.device)
            ends.append(time.perf_counter())
        trainer.read_losses(progress)
    losses = [record.train_loss or 0.0 for record in progress.history]
    extra = ", activation checkpointing" if params.activation_checkpointing else ""
    name = f"reprotune ({str(compute.dtype).removeprefix('torch.')}, {params.batching}{extra})"
    return training_result(task, ends, losses, progress.positions_computed, name, progress.positions_spared)


if __name__ == "__main__":
    contender_main(measure)
