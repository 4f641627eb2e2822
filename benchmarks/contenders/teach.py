"""Teach a model rows by heart with this project's trainer, so that decoding stops where the rows do."""

import shutil
import tempfile
from pathlib import Path
from typing import Any

from side_by_side.rounds import contender_main

from reprotune.compute.device import keep_freed_memory, pick_compute
from reprotune.console import note
from reprotune.dataset.collate import TokenRows
from reprotune.model.weights import load_model, save_model
from reprotune.params.sections.finetune import FinetuneParams
from reprotune.training.batches import epoch_batches
from reprotune.training.checkpoint import CheckpointStore, Progress
from reprotune.training.loop import Trainer

ROOT = Path(__file__).resolve().parents[2]
EPOCHS = 60
BY_HEART = 0.02
"""Nats per trained token; greedy decoding then writes nearly every answer as it stands."""


def measure(task: dict[str, Any]) -> dict[str, Any]:
    keep_freed_memory()
    settings = {"batch_size": 8, "learning_rate": task["learning_rate"], "schedule": "constant", "epochs": EPOCHS}
    params = FinetuneParams.load("finetune", ROOT / "params.yaml").model_copy(update=settings)
    compute = pick_compute("auto")
    model, rows = load_model(Path(task["model"]), compute.device), TokenRows.from_lists(task["rows"])
    progress = Progress()
    with tempfile.TemporaryDirectory() as scratch:
        trainer = Trainer(model, rows, rows, params, compute, CheckpointStore(Path(scratch), compute.device))
        for epoch in range(EPOCHS):
            batches = epoch_batches(rows, epoch, params)
            for batch in batches:
                trainer.step(batch, progress)
            trainer.read_losses(progress)
            loss = sum(record.train_loss or 0.0 for record in progress.history[-len(batches) :]) / len(batches)
            note(f"teaching {len(rows)} rows, epoch {epoch + 1}: loss {loss:.3f}")
            if loss < BY_HEART:
                break
    shutil.copytree(task["model"], task["output"], ignore=shutil.ignore_patterns("*.safetensors*"))
    save_model(model, Path(task["output"]))
    return {"loss": loss}


if __name__ == "__main__":
    contender_main(measure)
