"""The machine's own rate of matrix products in the network's shapes."""

from pathlib import Path
from typing import Any

import torch
from side_by_side.machine import describe, product_rate
from side_by_side.rounds import contender_main

from reprotune.compute.device import keep_freed_memory, pick_device, resolve_precision
from reprotune.model.checkpoint import read_config


def measure(task: dict[str, Any]) -> dict[str, Any]:
    keep_freed_memory()
    config, device = read_config(Path(task["model"]) / "config.json"), pick_device()
    formats = dict.fromkeys([resolve_precision("auto", device), torch.float32])  # bf16 takes minutes where it is slow
    rates = {name_of(dtype): product_rate(config, task["tokens"], dtype, device) for dtype in formats}
    return {"flops": rates, "machine": describe()}


def name_of(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


if __name__ == "__main__":
    contender_main(measure)
