"""Whether compiling the network is worth its time."""

import os
import shutil

import torch

from reprotune.errors import UserError
from reprotune.model.gpt2 import GPT2Config

REPAID_FLOPS = 5e16
"""Arithmetic of a run from which compiling repays itself on a GPU: minutes of training against tens of seconds of
compiling. On a CPU it gains under 3 % of a step (GPT-2 124M, 459 packed tokens), so `auto` leaves it."""


def worth_compiling(config: GPT2Config, tokens: int, choice: str, device: torch.device) -> bool:
    """Decide for a run over `tokens` (all epochs); raises `UserError` where a wanted compiler is missing."""
    if choice == "always" and device.type == "cpu" and not shutil.which(os.environ.get("CXX", "g++")):
        raise UserError("finetune.compile is always, but there is no C++ compiler (g++): install one or set it to auto")
    if choice == "auto":
        return device.type == "cuda" and tokens * training_flops_per_token(config) >= REPAID_FLOPS
    return choice == "always"


def training_flops_per_token(config: GPT2Config, context: float = 0) -> float:
    """Floating-point operations of forward and backward per token: 6 per weight of a matrix product (head included).

    With `context`, the mean number of earlier tokens that a token reads, attention's 12 per layer, width and such token
    are counted too (as in the PaLM paper, appendix B, arXiv:2204.02311, for causal attention).
    """
    weights = 12 * config.n_layer * config.n_embd**2 + config.vocab_size * config.n_embd
    return 6.0 * weights + 12 * config.n_layer * config.n_embd * context
