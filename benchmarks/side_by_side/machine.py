"""What a figure was measured on, and the most that machine could do."""

import platform
import statistics
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from reprotune.model.config import ModelConfig

PACKAGES = ["torch", "transformers", "trl", "numpy"]
CPU_FLAGS = ["amx_bf16", "avx512_bf16", "avx512f", "avx2"]


def describe() -> dict[str, Any]:
    """Hardware, threads and versions."""
    info = Path("/proc/cpuinfo").read_text(encoding="utf-8") if Path("/proc/cpuinfo").is_file() else ""
    names = [line.split(":", 1)[1].strip() for line in info.splitlines() if line.startswith("model name")]
    words = set(info.split())
    return {
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        "cpu": names[0] if names else platform.processor(),
        "cpu_flags": [flag for flag in CPU_FLAGS if flag in words],
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "versions": {name: found for name in PACKAGES if (found := _version(name))},
    }


def sentence(machine: dict[str, Any]) -> str:
    """One line for under a table."""
    versions = ", ".join(f"{name} {number}" for name, number in machine["versions"].items())
    flags = f" ({', '.join(machine['cpu_flags'])})" if machine["cpu_flags"] else ""
    device = "" if machine["device"] == "cpu" else f"{machine['device']}; "
    return f"{device}{machine['cpu']}{flags}, {machine['threads']} threads; Python {machine['python']}, {versions}"


def product_rate(config: ModelConfig, tokens: int, dtype: torch.dtype, device: torch.device) -> float:
    """Floating-point operations a second of the network's own matrix products over `tokens` rows, nothing else.

    One product of each shape (forward, input gradient and weight gradient), weighted as often as the network has it:
    the ceiling of a training step.
    """
    width, attended = config.n_embd, config.qkv_widths
    shapes = [(sum(attended), width), (width, attended[0]), (sum(config.inner_widths), width), (width, config.n_inner)]
    counted = [(out, into, config.n_layer) for out, into in shapes] + [(config.vocab_size, width, 1)]
    operations = seconds = 0.0
    for out, into, times in counted:
        x = torch.randn(tokens, into, device=device).to(dtype)
        weight = torch.randn(out, into, device=device).to(dtype)
        grad = torch.randn(tokens, out, device=device).to(dtype)
        for left, right in ((x, weight.T), (grad, weight), (grad.T, x)):
            seconds += times * _time_of_product(left, right)
            operations += times * 2.0 * tokens * out * into
    return operations / seconds


def synchronize(device: torch.device) -> None:
    """Wait for a GPU before a clock is read."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _time_of_product(left: torch.Tensor, right: torch.Tensor, repeats: int = 7) -> float:
    left @ right
    times = []
    for _ in range(repeats):
        synchronize(left.device)
        started = time.perf_counter()
        left @ right
        synchronize(left.device)
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
