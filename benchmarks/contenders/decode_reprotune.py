"""This project's decoding, as the stage `generate` runs it."""

import time
from pathlib import Path
from typing import Any

from side_by_side.machine import synchronize
from side_by_side.report import peak_memory_mb
from side_by_side.rounds import contender_main

from reprotune.compute.blocked_weights import pack_matrices
from reprotune.compute.device import cast_matrices, pick_device, resolve_precision
from reprotune.compute.memory import keep_freed_memory
from reprotune.dataset.tokenizer import END_OF_TEXT
from reprotune.generation.decoding import DecodingSettings, generate
from reprotune.model.weights import load_model


def measure(task: dict[str, Any]) -> dict[str, Any]:
    keep_freed_memory()
    device = pick_device()
    model = load_model(Path(task["model"]), device)
    cast_matrices(model, resolve_precision(task["precision"], device))
    pack_matrices(model)
    settings = DecodingSettings(task["max_new_tokens"], task["batch_size"], END_OF_TEXT)
    generate(model, task["prompts"][:2], settings)
    synchronize(device)
    started = time.perf_counter()
    answers = generate(model, task["prompts"], settings)
    synchronize(device)
    return {
        "name": f"reprotune ({task['precision']}, {task['batch_size']} slots)",
        "seconds": time.perf_counter() - started,
        "answers": [answer.token_ids for answer in answers],
        "peak_memory_mb": peak_memory_mb(),
    }


if __name__ == "__main__":
    contender_main(measure)
