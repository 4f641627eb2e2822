"""Train the base model on the tokenized instruction rows (section `finetune` of params.yaml)."""

from pathlib import Path

import torch

from reprotune.artifacts import replaced_directory
from reprotune.compute.device import Compute, keep_freed_memory, pick_compute
from reprotune.console import note
from reprotune.dataset.collate import TokenRows
from reprotune.dataset.tokenizers.load import load_tokenizer
from reprotune.model.checkpoint import CONFIG, weight_files
from reprotune.params.sections.finetune import FinetuneParams
from reprotune.pipeline.stage import run_stage
from reprotune.scratch import clear_finished, code_fingerprint, exclusive, fingerprint, mark_finished, scratch_directory
from reprotune.training import results
from reprotune.training.checkpoint import CheckpointStore
from reprotune.training.loop import Trainer
from reprotune.training.preview import print_masked_row
from reprotune.training.run import starting_model, write_model

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
    model = starting_model(params, BASE, compute.device)
    scratch = scratch_directory("finetune", run_key(params, compute))
    clear_finished("finetune", but=scratch)
    store = CheckpointStore(scratch, compute.device)
    note(f"finetune: {results.params_of_interest(params)}; {compute.dtype} on {compute.device}")
    trainer = Trainer(model, train, validation, params, compute, store)
    print_masked_row(train, 0, params.mask_instruction, load_tokenizer(BASE))
    with exclusive(scratch):
        progress = trainer.run()
    with replaced_directory(OUTPUT) as folder:
        write_model(trainer, progress, compute, BASE, CHAT_TEMPLATE, folder)
    results.write_speed(SPEED, progress, compute)
    mark_finished(scratch)


def run_key(params: FinetuneParams, compute: Compute) -> str:
    """Return the fingerprint of everything that decides the bytes of the model.

    Only a run with the same key may continue from a checkpoint: DVC records the result under the present code.
    """
    settings = [params.model_dump(), str(compute.dtype), compute.device.type, torch.__version__, code_fingerprint()]
    return fingerprint(settings, [TRAIN, VALIDATION, BASE / CONFIG, *(BASE / name for name in weight_files(BASE))])


if __name__ == "__main__":
    run_stage("finetune", main)
