"""The chapter's own `generate`: one prompt at a time, everything computed anew for each token; from a given clone."""

import time
from pathlib import Path
from typing import Any

import torch
from side_by_side.machine import synchronize
from side_by_side.report import peak_memory_mb
from side_by_side.rounds import contender_main

from contenders.train_chapter import chapter_model, import_chapter
from reprotune.compute.device import pick_device
from reprotune.dataset.tokenizers.gpt2_files import END_OF_TEXT


def measure(task: dict[str, Any]) -> dict[str, Any]:
    _, chapters = import_chapter(task["chapter"])
    device = pick_device()
    model = chapter_model(chapters, Path(task["model"])).to(device).eval()
    answers = []
    started = time.perf_counter()
    for prompt in task["prompts"]:
        ids = torch.tensor([prompt], device=device)
        written = chapters.generate(model, ids, task["max_new_tokens"], context_size=1024, eos_id=END_OF_TEXT)
        answers.append(written[0, len(prompt) :].tolist())
    synchronize(device)
    return {
        "name": "the chapter's script (float32, one at a time)",
        "seconds": time.perf_counter() - started,
        "answers": answers,
        "peak_memory_mb": peak_memory_mb(),
    }


if __name__ == "__main__":
    contender_main(measure)
