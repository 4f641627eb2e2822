"""What every training contender reports, from the end times of its steps."""

import resource
from collections.abc import Sequence
from typing import Any

import torch


def training_result(
    task: dict[str, Any], ends: Sequence[float], losses: Sequence[float], positions: int, name: str, spared: int = 0
) -> dict[str, Any]:
    """Seconds of the steps after the warm-up and what they trained.

    `ends` [steps + 1]: the clock before the first step and after each; `losses` [steps]: mean nats per trained token;
    `positions`: what the network computed over all steps, padding included; `spared`: what it need not compute because
    rows share their beginning.
    """
    warmup = task["warmup"]
    lengths = [len(prompt) + len(response) - 1 for prompt, response in task["rows"]]
    trained = [sum(lengths[index] for index in batch) for batch in task["batches"]]
    seconds = ends[-1] - ends[warmup]
    return {
        "name": name,
        "seconds": seconds,
        "step_seconds": [after - before for before, after in zip(ends[warmup:-1], ends[warmup + 1 :], strict=True)],
        "trained_tokens": sum(trained[warmup:]),
        "tokens_per_second": sum(trained[warmup:]) / seconds,
        "first_step_seconds": ends[1] - ends[0],
        "padding_share": 1 - sum(trained) / (positions + spared),
        "spared_share": spared / sum(trained),
        "losses": list(losses),
        "peak_memory_mb": peak_memory_mb(),
    }


def peak_memory_mb() -> float:
    """Largest memory of this process so far: of the GPU where there is one, else resident."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
