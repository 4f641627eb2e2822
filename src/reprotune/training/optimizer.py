"""AdamW and its learning rate as a function of the step."""

import math

import torch
from torch import nn

from reprotune.params.sections.finetune import FinetuneParams

ROUNDING = 1e-9
"""Keeps 0.07 * 100 = 7.000000000000001 steps of warm-up from becoming 8."""


def build_optimizer(model: nn.Module, params: FinetuneParams) -> torch.optim.AdamW:
    """AdamW over the trainable parameters, fused into one pass; float32 state and float32 weights.

    Weight decay applies to the matrices of the blocks alone, or to all parameters with `decay_all` (the chapter's way).
    """
    decayed: list[nn.Parameter] = []
    kept: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            is_matrix = parameter.ndim >= 2 and name.startswith("blocks.")
            (decayed if is_matrix or params.decay_all else kept).append(parameter)
    groups = [
        {"params": decayed, "weight_decay": params.weight_decay},
        {"params": kept, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(
        [group for group in groups if group["params"]],
        lr=params.learning_rate,
        betas=(params.beta1, params.beta2),
        fused=True,
    )


def learning_rate(step: int, total_steps: int, params: FinetuneParams) -> float:
    """Learning rate of update number `step` (0-based) of `total_steps`.

    A linear warm-up reaches the peak after `warmup_fraction` of the steps. Then the rate is constant, or follows half
    a cosine that reaches `min_learning_rate` at the last step, or is constant (the stable part) until the last
    `decay_fraction` of the steps, over which it falls in a straight line to `min_learning_rate` at the last step
    (warm-up, stable, decay: Hu et al., 2024, arXiv 2404.06395; the line: Hägele et al., 2024, arXiv 2405.18392).
    """
    warmup_steps = math.ceil(params.warmup_fraction * total_steps - ROUNDING)
    if step < warmup_steps:
        return params.learning_rate * (step + 1) / warmup_steps
    if params.schedule == "constant":
        return params.learning_rate
    span = params.learning_rate - params.min_learning_rate
    if params.schedule == "wsd":
        stable_end = stable_steps(total_steps, params)
        if step < stable_end:
            return params.learning_rate
        return params.learning_rate - span * (step - stable_end + 1) / (total_steps - stable_end)
    progress = (step - warmup_steps + 1) / max(total_steps - warmup_steps, 1)
    return params.min_learning_rate + span * (1 + math.cos(math.pi * progress)) / 2


def stable_steps(total_steps: int, params: FinetuneParams) -> int:
    """Return after how many of `total_steps` updates the learning rate begins to fall: what `wsd` decays over is left.

    Up to there, a run is the beginning of any longer stable part, so that runs can be compared before they have ended.
    A constant rate never falls, and a cosine does at once after its warm-up.
    """
    warmup_steps = math.ceil(params.warmup_fraction * total_steps - ROUNDING)
    if params.schedule == "constant":
        return total_steps
    if params.schedule == "cosine":
        return warmup_steps
    return max(warmup_steps, total_steps - math.ceil(params.decay_fraction * total_steps - ROUNDING))
