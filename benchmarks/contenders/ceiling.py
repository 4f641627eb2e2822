"""The machine's own rate of matrix products in the network's shapes."""

from pathlib import Path
from typing import Any

import torch
from side_by_side.machine import describe, product_rate
from side_by_side.rounds import contender_main

from reprotune.compute.device import keep_freed_memory, pick_device
from reprotune.model.checkpoint import read_config


def measure(task: dict[str, Any]) -> dict[str, Any]:
    keep_freed_memory()
    config, device = read_config(Path(task["model"]) / "config.json"), pick_device()
    rates = {
        name: product_rate(config, task["tokens"], dtype, device)
        for name, dtype in (("bfloat16", torch.bfloat16), ("float32", torch.float32))
    }
    return {"flops": rates, "machine": describe()}


if __name__ == "__main__":
    contender_main(measure)
