"""Where the arithmetic runs and in which number format: device and precision."""

import os
from pathlib import Path

import torch
from torch import nn

from reprotune.errors import UserError
from reprotune.model.gpt2 import GPT2

DEVICE_VARIABLE = "REPROTUNE_DEVICE"
CPU_INFO = Path("/proc/cpuinfo")
BF16_INSTRUCTIONS = {"amx_bf16", "avx512_bf16"}
"""With either, a CPU multiplies bf16 matrices two to several times faster than float32 ones."""


def pick_device() -> torch.device:
    """Return CUDA where there is a GPU, else the CPU; the variable REPROTUNE_DEVICE (`cpu`, `cuda:1`) overrides."""
    available = torch.cuda.is_available()
    name = os.environ.get(DEVICE_VARIABLE) or ("cuda" if available else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UserError(f"{DEVICE_VARIABLE} is {name!r}, but it should be a device such as cpu or cuda:0") from error
    if device.type == "cuda" and (not available or (device.index or 0) >= torch.cuda.device_count()):
        raise UserError(f"{DEVICE_VARIABLE} is {name!r}, but this machine has no such GPU: unset it or name another")
    return device


def resolve_precision(name: str, device: torch.device) -> torch.dtype:
    """Return the format of matrix products for `fp32`, `bf16` or `auto` (bf16 where the device is fast at it)."""
    if name == "auto":
        return torch.bfloat16 if _has_fast_bf16(device) else torch.float32
    return {"fp32": torch.float32, "bf16": torch.bfloat16}[name]


def cast_matrices(model: GPT2, dtype: torch.dtype) -> None:
    """Store the weights of matrix products (linear layers and token embedding) in `dtype`, in place; for inference.

    Norms and positions stay as they are, so that under autocast only the products are in `dtype`, as in training,
    while no weight is cast again in each step.
    """
    for module in model.modules():
        if isinstance(module, nn.Linear) or module is model.wte:
            module.to(dtype)


def _has_fast_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device.type == "cpu" and torch.backends.mkldnn.is_available() and _cpu_multiplies_bf16()


def _cpu_multiplies_bf16() -> bool:
    flags: set[str] = set()
    if hasattr(torch.cpu, "get_capabilities"):  # newer than torch 2.11
        flags = {name for name, present in torch.cpu.get_capabilities().items() if present is True}
    elif CPU_INFO.is_file():
        flags = set(CPU_INFO.read_text(encoding="ascii", errors="replace").split())
    return bool(flags & BF16_INSTRUCTIONS)
