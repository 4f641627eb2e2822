"""transformers' batched `generate`: padded on the left, in bfloat16 where that is fast."""

import time
from itertools import takewhile
from typing import Any

import torch
from side_by_side.machine import synchronize
from side_by_side.report import peak_memory_mb
from side_by_side.rounds import contender_main
from transformers import AutoModelForCausalLM

from reprotune.compute.device import pick_device, resolve_precision


def measure(task: dict[str, Any]) -> dict[str, Any]:
    device = pick_device()
    dtype = resolve_precision("auto", device)
    model = AutoModelForCausalLM.from_pretrained(task["model"], dtype=dtype).to(device).eval()  # type: ignore[arg-type]
    prompts = task["prompts"]
    order = list(range(len(prompts)))
    if task["by_length"]:
        order.sort(key=lambda index: -len(prompts[index]))
    size = task["batch_size"]
    batches = [order[start : start + size] for start in range(0, len(order), size)]
    answers: list[list[int]] = [[] for _ in prompts]
    generate_batch(model, prompts[:2], task)
    synchronize(device)
    started = time.perf_counter()
    for batch in batches:
        for index, answer in zip(batch, generate_batch(model, [prompts[index] for index in batch], task), strict=True):
            answers[index] = answer
    synchronize(device)
    way = f"{str(dtype).removeprefix('torch.')}, batches of {size}{' by length' if task['by_length'] else ''}"
    return {
        "name": f"transformers' generate ({way}, {task['cache']} cache)",
        "seconds": time.perf_counter() - started,
        "answers": answers,
        "peak_memory_mb": peak_memory_mb(),
    }


@torch.inference_mode()
def generate_batch(model: Any, prompts: list[list[int]], task: dict[str, Any]) -> list[list[int]]:
    """Greedy answers, each up to its end-of-text."""
    ends = task["end_of_text"]
    width = max(len(prompt) for prompt in prompts)
    padding = [ends[:1] * (width - len(prompt)) for prompt in prompts]
    input_ids = torch.tensor([left + prompt for left, prompt in zip(padding, prompts, strict=True)])
    mask = torch.tensor([[0] * len(left) + [1] * (width - len(left)) for left in padding])
    cache = {"cache_implementation": "static"} if task["cache"] == "static" else {}
    written = model.generate(
        input_ids.to(model.device),
        attention_mask=mask.to(model.device),
        max_new_tokens=task["max_new_tokens"],
        do_sample=False,
        eos_token_id=ends,
        pad_token_id=ends[0],
        **cache,
    )[:, width:].tolist()
    return [list(takewhile(lambda token: token not in ends, row)) for row in written]


if __name__ == "__main__":
    contender_main(measure)
