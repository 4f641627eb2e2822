"""What a run beside the pipeline is kept under: a hash of everything that decides its result."""

from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import torch

from reprotune.compute.device import Compute
from reprotune.pipeline.closure import code_closure
from reprotune.scratch import file_sha256, fingerprint

CHECKOUT = Path(__file__).resolve().parents[3]
"""The folder that holds `src/`."""


def run_key(module: str, settings: Any, compute: Compute, files: Iterable[Path]) -> str:
    """Return 16 hexadecimal digits over settings, input files, the code of a module, torch and the device's kind."""
    machine = [compute.device.type, str(compute.dtype), torch.__version__]
    return fingerprint([settings, machine, code_hash(module)], files)


@cache  # later edits are no part of the code that this process has loaded
def code_hash(module: str) -> str:
    """Return 16 hexadecimal digits over a module and all that it imports.

    Unlike `scratch.code_fingerprint`, the same in whatever process the module is used.
    """
    files = sorted(code_closure(module, CHECKOUT, module))
    return fingerprint({name: file_sha256(CHECKOUT / name) for name in files})
