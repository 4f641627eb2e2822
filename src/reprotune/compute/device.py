"""Where the arithmetic runs, in which number format, and by which of several equivalent methods."""

import ctypes
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import torch
from torch import Tensor

from reprotune.errors import UserError

DEVICE_VARIABLE = "REPROTUNE_DEVICE"
CPU_INFO = Path("/proc/cpuinfo")
BF16_INSTRUCTIONS = {"amx_bf16", "avx512_bf16"}
"""With either, a CPU multiplies bf16 matrices two to several times faster than float32 ones."""

SHORT_QUERIES = 512
"""Up to this many tokens, a CPU computes bf16 attention two to four times faster as plain matrix products than through
`scaled_dot_product_attention` (forward and backward; measured at 32 to 1024 tokens, 12 heads of 64)."""

REPAID_FLOPS = 5e16
"""A training run of at least this size gains more from compiling on a GPU than compiling costs: minutes against tens of
seconds. On a CPU compiling saves less than 3 % of a step (GPT-2 124M, 459 packed tokens), so `auto` skips it."""

M_TRIM_THRESHOLD = -1
M_MMAP_MAX = -4
"""Names and numbers as in glibc's malloc.h (mallopt(3))."""


@dataclass(frozen=True)
class Compute:
    """A device, the number format of its matrix products, and every choice that follows from the two.

    Each choice is between two ways to the same result, up to rounding. They are all made here; the rest of the package
    asks and never looks at the device type itself.
    """

    device: torch.device
    dtype: torch.dtype

    @classmethod
    def of(cls, tensor: Tensor) -> Self:
        """The device and format of a tensor."""
        return cls(tensor.device, tensor.dtype)

    def autocast(self) -> torch.autocast:
        """Run matrix products in `dtype`; a context manager that does nothing for float32."""
        return torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32)

    @property
    def flash(self) -> bool:
        """Attend within packed rows by flash attention, rather than in small padded blocks."""
        return self.device.type == "cuda" and self.dtype != torch.float32

    @property
    def shares_prefix(self) -> bool:
        """Compute the tokens that all packed rows start with once; flash attention needs each row's own keys."""
        return not self.flash

    @property
    def records_steps(self) -> bool:
        """Record the decoding of one token as a CUDA graph."""
        return self.device.type == "cuda"

    def records_passes(self, batching: str) -> bool:
        """Record training passes as CUDA graphs: packed ones, whose few shapes repeat."""
        return batching == "packed" and self.flash

    def writes_out_attention(self, queries: int) -> bool:
        """Compute attention over this many queries as plain matrix products, not by the fused kernel."""
        return self.device.type == "cpu" and self.dtype == torch.bfloat16 and queries <= SHORT_QUERIES

    @property
    def fuses_rms_norm(self) -> bool:
        """Whether torch has a kernel of its own for root-mean-square norms."""
        return self.device.type == "cuda"

    @property
    def blocks_weights(self) -> bool:
        """Keep weights in oneDNN's blocked layout for decoding: x86 processors only, where it was measured."""
        if self.device.type != "cpu" or not torch.backends.mkldnn.is_available():
            return False
        if not torch.backends.cpu.get_cpu_capability().startswith("AVX"):
            return False
        return self.dtype == torch.float32 or bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())

    @property
    def vocabulary_multiple(self) -> int:
        """Round the vocabulary up to a multiple of this inside the loss: matrix units of a GPU want aligned sizes."""
        return 64 if self.device.type == "cuda" else 1

    def compiles(self, choice: str, flops: float) -> bool:
        """Compile the layers for a training run of `flops`, given `finetune.compile`.

        Raises `UserError` where compiling is demanded and the C++ compiler is missing.
        """
        if choice == "always" and self.device.type == "cpu" and not shutil.which(os.environ.get("CXX", "g++")):
            raise UserError(
                "finetune.compile is always, but there is no C++ compiler (g++): install one or set it to auto"
            )
        if choice == "auto":
            return self.device.type == "cuda" and flops >= REPAID_FLOPS
        return choice == "always"


def pick_compute(precision: str) -> Compute:
    """Return the machine's device with the number format for `precision` (`fp32`, `bf16` or `auto`)."""
    device = pick_device()
    return Compute(device, resolve_precision(precision, device))


def pick_device() -> torch.device:
    """Return CUDA where there is a GPU, else the CPU; the variable REPROTUNE_DEVICE (`cpu`, `cuda:1`) overrides."""
    available = torch.cuda.is_available()
    name = os.environ.get(DEVICE_VARIABLE) or ("cuda" if available else "cpu")
    try:
        device = torch.device(name)
    except (RuntimeError, ValueError, OverflowError) as error:
        raise _no_device(name) from error
    if device.type not in ("cpu", "cuda") or (device.type == "cpu" and device.index):
        raise _no_device(name)
    if device.type == "cuda" and (not available or (device.index or 0) >= torch.cuda.device_count()):
        raise UserError(f"{DEVICE_VARIABLE} is {name!r}, but this machine has no such GPU: unset it or name another")
    return device


def _no_device(name: str) -> UserError:
    return UserError(
        f"{DEVICE_VARIABLE} is {name[:40]!r}, but it should be cpu, cuda or the number of a GPU as in cuda:0"
    )


def resolve_precision(name: str, device: torch.device) -> torch.dtype:
    """Return the format of matrix products for `fp32`, `bf16` or `auto` (bf16 where the device is fast at it)."""
    if name == "auto":
        return torch.bfloat16 if _has_fast_bf16(device) else torch.float32
    return {"fp32": torch.float32, "bf16": torch.bfloat16}[name]


def keep_freed_memory() -> bool:
    """Keep freed memory in the process, so that a training step reuses its buffers; for processes that train or decode.

    glibc returns every large block to the kernel at once (`munmap`), so each tensor of tens of megabytes is paged in
    and zeroed again at every step: over a fifth of the time of a GPT-2 step on a CPU with fast matrix products. Returns
    whether the C library allows it; macOS and musl have no such setting.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return bool(mallopt(M_MMAP_MAX, 0)) and bool(mallopt(M_TRIM_THRESHOLD, -1))


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
