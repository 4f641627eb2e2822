"""Train the base model on the tokenized instruction rows (section `finetune` of params.yaml)."""

from pathlib import Path

import torch

from reprotune.artifacts import replaced_directory, write_json
from reprotune.compute.device import Compute, keep_freed_memory, pick_compute
from reprotune.console import note
from reprotune.dataset.collate import TokenRows
from reprotune.dataset.tokenizers.files import write_companion_files
from reprotune.dataset.tokenizers.load import load_tokenizer
from reprotune.model.checkpoint import CONFIG, weight_files
from reprotune.model.lora import add_adapters, merge_adapters, save_adapters
from reprotune.model.network import Network
from reprotune.model.weights import load_model, save_model, stored_dtype
from reprotune.params.sections.finetune import FinetuneParams
from reprotune.pipeline.stage import run_stage
from reprotune.scratch import clear_finished, code_fingerprint, exclusive, fingerprint, mark_finished, scratch_directory
from reprotune.training import results
from reprotune.training.checkpoint import CheckpointStore
from reprotune.training.loop import Trainer
from reprotune.training.preview import print_masked_row

TRAIN = Path("data/tokens/train.parquet")
VALIDATION = Path("data/tokens/validation.parquet")
CHAT_TEMPLATE = Path("data/formatted/chat_template.jinja")
BASE = Path("data/base")
OUTPUT = Path("data/model")
SPEED = Path("data/speed/finetune.json")


def main() -> None:
    """Load, train, save; a killed run resumes from its last checkpoint, even if it was killed before DVC saved it."""
    keep_freed_memory()
    params = FinetuneParams.load("finetune")
    compute = pick_compute(params.precision)
    train, validation = TokenRows.read(TRAIN), TokenRows.read(VALIDATION)
    model = starting_model(params, compute.device)
    trained_parameters = results.count_trained(model)
    scratch = scratch_directory("finetune", run_key(params, compute))
    clear_finished("finetune", but=scratch)
    store = CheckpointStore(scratch, compute.device)
    note(f"finetune: {results.params_of_interest(params)}; {compute.dtype} on {compute.device}")
    trainer = Trainer(model, train, validation, params, compute, store)
    print_masked_row(train, 0, params.mask_instruction, load_tokenizer(BASE))
    with exclusive(scratch):
        progress = trainer.run()
    with replaced_directory(OUTPUT) as folder:
        if params.method == "lora":
            if params.lora.keep_adapters:
                save_adapters(model, params.lora, folder / "adapter")
            merge_adapters(model)
        save_model(model, folder, stored_dtype(BASE) if params.saved_precision == "base" else torch.float32)
        write_companion_files(BASE, folder, model.config.n_positions, CHAT_TEMPLATE)
        results.write_loss_curve(folder / "loss.csv", progress.history)
        metrics = results.training_metrics(progress, trainer.total_steps, trained_parameters, compute.dtype)
        write_json(folder / "metrics.json", metrics)
    results.write_speed(SPEED, progress, compute)
    mark_finished(scratch)


def run_key(params: FinetuneParams, compute: Compute) -> str:
    """Return the fingerprint of everything that decides the bytes of the model.

    Only a run with the same key may continue from a checkpoint: DVC records the result under the present code.
    """
    settings = [params.model_dump(), str(compute.dtype), compute.device.type, torch.__version__, code_fingerprint()]
    return fingerprint(settings, [TRAIN, VALIDATION, BASE / CONFIG, *(BASE / name for name in weight_files(BASE))])


def starting_model(params: FinetuneParams, device: torch.device) -> Network:
    """Return the base model (or random weights of its shape), with adapters where `method: lora` asks for them."""
    model = load_model(BASE, device=device)
    generator = torch.Generator().manual_seed(params.seed)
    if params.init == "random":
        fresh = Network(model.config)
        fresh.initialize(generator)
        model = fresh.to(device)
    if params.method == "lora":
        add_adapters(model, params.lora, generator)
    return model


if __name__ == "__main__":
    run_stage("finetune", main)
