"""This project's decoding, as the stage `generate` runs it."""

import time
from pathlib import Path
from typing import Any

from side_by_side.machine import synchronize
from side_by_side.report import peak_memory_mb
from side_by_side.rounds import contender_main

from reprotune.compute.device import keep_freed_memory, pick_compute
from reprotune.generation.decoding import DecodingSettings, generate
from reprotune.model.inference import prepare_for_inference
from reprotune.model.weights import load_model


def measure(task: dict[str, Any]) -> dict[str, Any]:
    keep_freed_memory()
    compute = pick_compute(task["precision"])
    model = load_model(Path(task["model"]), compute.device)
    prepare_for_inference(model, compute)
    settings = DecodingSettings(task["max_new_tokens"], task["batch_size"], tuple(task["end_of_text"]))
    generate(model, task["prompts"][:2], settings)
    synchronize(compute.device)
    started = time.perf_counter()
    answers = generate(model, task["prompts"], settings)
    synchronize(compute.device)
    return {
        "name": f"reprotune ({task['precision']}, {task['batch_size']} slots)",
        "seconds": time.perf_counter() - started,
        "answers": [answer.token_ids for answer in answers],
        "peak_memory_mb": peak_memory_mb(),
    }


if __name__ == "__main__":
    contender_main(measure)
