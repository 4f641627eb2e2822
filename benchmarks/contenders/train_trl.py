"""TRL's SFTTrainer on the given batches; `variant` chooses among its ways of batching and computing."""

import tempfile
import time
from typing import Any

import torch
from datasets import Dataset
from side_by_side.machine import synchronize
from side_by_side.report import training_result
from side_by_side.rounds import contender_main
from side_by_side.workload import Rows
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
from trl import SFTConfig, SFTTrainer

from contenders.train_trl_variants import VARIANTS
from reprotune.compute.device import pick_device


class Clock(TrainerCallback):
    """Notes when each step ended and how many positions it computed."""

    def __init__(self) -> None:
        self.ends: list[float] = []
        self.device = pick_device()

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        self.ends.append(time.perf_counter())

    def on_step_end(self, *_: Any, **__: Any) -> None:
        synchronize(self.device)
        self.ends.append(time.perf_counter())


def measure(task: dict[str, Any]) -> dict[str, Any]:
    torch.manual_seed(123)
    variant = VARIANTS[task["variant"]]
    rows = [prompt + response for prompt, response in task["rows"]]
    packed = bool(variant.get("packing"))
    order = [index for batch in task["batches"] for index in batch]
    columns = {"input_ids": [rows[index] for index in order]}
    if task["responses_only"]:
        parts = [task["rows"][index] for index in order]
        columns["completion_mask"] = [[0] * len(prompt) + [1] * len(response) for prompt, response in parts]
    dataset = Dataset.from_dict(columns)
    model = AutoModelForCausalLM.from_pretrained(task["model"], dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(task["model"])
    tokenizer.pad_token = tokenizer.eos_token
    settings = {"max_length": 1024, "train_sampling_strategy": "sequential"} | variant
    with tempfile.TemporaryDirectory() as folder:
        arguments = SFTConfig(
            output_dir=folder,
            per_device_train_batch_size=1 if packed else len(task["batches"][0]),
            num_train_epochs=1,
            learning_rate=task["learning_rate"],
            weight_decay=task["weight_decay"],
            lr_scheduler_type="constant",
            max_grad_norm=0.0,
            gradient_checkpointing=False,
            logging_steps=1,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            use_cpu=pick_device().type == "cpu",
            optim="adamw_torch_fused",
            seed=123,
            completion_only_loss=task["responses_only"],
            **settings,
        )
        clock = Clock()
        trainer = SFTTrainer(
            model=model, args=arguments, train_dataset=dataset, processing_class=tokenizer, callbacks=[clock]
        )
        positions = count_positions(trainer)
        trainer.train()
    if packed:
        task = packed_task(task, trainer.train_dataset)
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    if not packed and not variant.get("padding_free") and not task["responses_only"]:
        losses = per_trained_token(task, losses)
    return training_result(task, clock.ends, losses, positions, f"TRL ({task['variant']})")


def per_trained_token(task: dict[str, Any], losses: list[float]) -> list[float]:
    """Undo TRL's division of padded batches: it counts each row's first token, which nobody predicts (2 % here)."""
    lengths = [len(prompt) + len(response) for prompt, response in task["rows"]]
    counts = [sum(lengths[index] for index in batch) for batch in task["batches"]]
    trained = [count - len(batch) for count, batch in zip(counts, task["batches"], strict=True)]
    return [loss * count / number for loss, count, number in zip(losses, counts, trained, strict=False)]


def count_positions(trainer: Any) -> int:
    """Positions of all batches, padding included."""
    return sum(batch["input_ids"].numel() for batch in trainer.get_train_dataloader())


def packed_task(task: dict[str, Any], dataset: Any) -> dict[str, Any]:
    """Describe packed sequences as batches of rows, so that a row's trained tokens (all but its first) are counted."""
    rows: Rows = []
    batches = []
    for sequence in dataset:
        lengths = sequence.get("seq_lengths") or [len(sequence["input_ids"])]
        batches.append(list(range(len(rows), len(rows) + len(lengths))))
        rows += [([], [0] * length) for length in lengths]
    return {**task, "rows": rows, "batches": batches}


if __name__ == "__main__":
    contender_main(measure)
