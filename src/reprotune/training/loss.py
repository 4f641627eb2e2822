"""Next-token loss of trained positions, summed; the caller divides by the tokens of the whole optimizer step.

Averaging per micro-batch and then over micro-batches weighs rows unequally as soon as their lengths differ, a fault
that cost others whole benchmark points (transformers #34191, open-instruct #1728). Hence sums here, one division there.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from reprotune.dataset.collate import Batch
from reprotune.model.gpt2 import GPT2, causal_attention
from reprotune.model.packed_attention import PackedAttention

CHUNK_POSITIONS = 1024
"""Positions whose logits exist at a time: 1024 x 50257 float32 are 206 MB."""


def batch_loss(model: GPT2, batch: Batch, dtype: torch.dtype) -> Tensor:
    """Sum of the negative log-likelihood (nats) over the trained targets of a batch; a float32 scalar.

    Matrix products run in `dtype`; weights, residual stream, softmax and sum stay float32. The output head runs only
    at trained positions.
    """
    device = batch.input_ids.device
    attend = causal_attention if batch.row_lengths is None else PackedAttention(batch.row_lengths, device)
    with torch.autocast(device.type, dtype=dtype, enabled=dtype != torch.float32):
        hidden = model(batch.input_ids, batch.positions, attend)
    targets = batch.targets.flatten()[batch.trained]
    return linear_cross_entropy(hidden.flatten(0, 1)[batch.trained].to(dtype), model.wte.weight, targets)


def linear_cross_entropy(hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    """Sum of cross entropies of `hidden @ weight.T` without ever holding all logits.

    Shapes: `hidden` [M, C] (its dtype is that of the matrix products), `weight` [V, C] float32, `targets` [M] int64
    in 0..V-1. Returns a float32 scalar; 0 for M = 0.
    """
    result: Tensor = _LinearCrossEntropy.apply(hidden, weight, targets, torch.is_grad_enabled())
    return result


class _LinearCrossEntropy(torch.autograd.Function):
    """Computes the gradients together with the loss, chunk by chunk, so that no logits are kept for the backward.

    The idea is that of fused linear cross entropy kernels (Liger Kernel, arXiv 2410.10989), with plain matrix products.
    """

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, targets: Tensor, with_gradients: bool) -> Tensor:
        compute_weight = weight.to(hidden.dtype)
        total = torch.zeros((), dtype=torch.float32, device=hidden.device)
        # `needs_input_grad` stays true under no_grad, hence the flag: an evaluation pays for no gradients.
        hidden_grad = torch.zeros_like(hidden) if with_gradients and ctx.needs_input_grad[0] else None
        weight_grad = torch.zeros_like(weight) if with_gradients and ctx.needs_input_grad[1] else None
        for start in range(0, len(hidden), CHUNK_POSITIONS):
            chunk = slice(start, start + CHUNK_POSITIONS)
            logits = F.linear(hidden[chunk], compute_weight)
            wanted = targets[chunk, None]
            log_probabilities = logits.log_softmax(dim=1, dtype=torch.float32)
            total -= log_probabilities.gather(1, wanted).sum()
            if hidden_grad is None and weight_grad is None:
                continue
            logit_grad = log_probabilities.exp_()
            logit_grad.scatter_add_(1, wanted, logit_grad.new_full(wanted.shape, -1.0))
            logit_grad = logit_grad.to(hidden.dtype)
            if hidden_grad is not None:
                hidden_grad[chunk] = logit_grad @ compute_weight
            if weight_grad is not None:
                weight_grad += logit_grad.T @ hidden[chunk]
        ctx.save_for_backward(hidden_grad, weight_grad)
        return total

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        scale = grad_outputs[0]
        hidden_grad, weight_grad = ctx.saved_tensors
        return (
            None if hidden_grad is None else hidden_grad * scale,
            None if weight_grad is None else weight_grad * scale,
            None,
            None,
        )
