"""The ends of a training run, alike in stage `finetune` and in runs beside it: the weights before, the folder after."""

from pathlib import Path

import torch

from reprotune.artifacts import write_json
from reprotune.compute.device import Compute
from reprotune.dataset.tokenizers.files import write_companion_files
from reprotune.model.lora import add_adapters, merge_adapters, save_adapters
from reprotune.model.network import Network
from reprotune.model.weights import load_model, save_model, stored_dtype
from reprotune.params.sections.finetune import FinetuneParams
from reprotune.training import results
from reprotune.training.checkpoint import Progress
from reprotune.training.loop import Trainer


def starting_model(params: FinetuneParams, base: Path, device: torch.device) -> Network:
    """Return the model in `base` (or random weights of its shape), with adapters where `method: lora` asks for them."""
    model = load_model(base, device=device)
    generator = torch.Generator().manual_seed(params.seed)
    if params.init == "random":
        fresh = Network(model.config)
        fresh.initialize(generator)
        model = fresh.to(device)
    if params.method == "lora":
        add_adapters(model, params.lora, generator)
    return model


def write_model(
    trainer: Trainer, progress: Progress, compute: Compute, base: Path, chat_template: Path, to: Path
) -> None:
    """Write a trained model in Hugging Face layout with its metrics and loss curve into the folder `to`.

    Adapters are merged into the weights of `trainer.model`, so nothing can be trained with it afterwards.
    """
    model, params = trainer.model, trainer.params
    trained_parameters = results.count_trained(model)
    if params.method == "lora":
        if params.lora.keep_adapters:
            save_adapters(model, params.lora, to / "adapter")
        merge_adapters(model)
    save_model(model, to, stored_dtype(base) if params.saved_precision == "base" else torch.float32)
    write_companion_files(base, to, model.config.n_positions, chat_template)
    results.write_loss_curve(to / "loss.csv", progress.history)
    metrics = results.training_metrics(progress, trainer.total_steps, trained_parameters, compute.dtype)
    write_json(to / "metrics.json", metrics)
