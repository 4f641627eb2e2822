"""This project's multiple choice, as the stage `benchmark` runs it."""

import time
from pathlib import Path
from typing import Any

from side_by_side.machine import synchronize
from side_by_side.report import peak_memory_mb
from side_by_side.rounds import contender_main

from reprotune.compute.device import keep_freed_memory, pick_compute
from reprotune.dataset.tokenizers.load import load_tokenizer
from reprotune.model.inference import prepare_for_inference
from reprotune.model.weights import load_model
from reprotune.multiple_choice.asking import ask
from reprotune.multiple_choice.framing import PlainText
from reprotune.multiple_choice.prompts import Wording
from reprotune.multiple_choice.sampling import Chosen


def measure(task: dict[str, Any]) -> dict[str, Any]:
    keep_freed_memory()
    compute = pick_compute("fp32")
    model = load_model(Path(task["model"]), compute.device)
    prepare_for_inference(model, compute)
    tokenizer = load_tokenizer(Path(task["model"]))
    wording, framing = Wording(task["formulation"], beginnings=False), PlainText(tokenizer)
    chosen = Chosen(task["items"], task["shots"])
    ask(model, tokenizer, framing, wording, chosen._replace(items=chosen.items[:1]), False, "warm-up")
    synchronize(compute.device)
    started = time.perf_counter()
    rows = ask(model, tokenizer, framing, wording, chosen, False, "items")
    synchronize(compute.device)
    return {
        "name": "reprotune (float32)",
        "seconds": time.perf_counter() - started,
        "logprobs": [row["logprobs"] for row in rows],
        "peak_memory_mb": peak_memory_mb(),
    }


if __name__ == "__main__":
    contender_main(measure)
