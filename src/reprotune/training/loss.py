"""Next-token loss of trained positions, summed; the caller divides by the tokens of the whole optimizer step.

Averaging per micro-batch and then over micro-batches weights rows unequally as soon as their lengths differ, a fault
that has cost others whole benchmark points (transformers #34191, open-instruct #1728). So: sum here, divide once there.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from reprotune.compute.device import Compute
from reprotune.dataset.collate import Batch
from reprotune.model.attention import Attend, causal_attention, packed_attention
from reprotune.model.network import Network

CHUNK_POSITIONS = 1024
"""Positions whose logits exist at a time: 1024 x 50257 float32 are 206 MB."""


def batch_loss(model: Network, batch: Batch, compute: Compute) -> Tensor:
    """Sum of the negative log-likelihood (nats) over the trained targets of a batch; a float32 scalar.

    Matrix products run in `compute.dtype`; weights, residual stream, softmax and sum stay float32. The output head runs
    only at trained positions.
    """
    attend: Attend = causal_attention
    if batch.row_lengths is not None:
        attend = packed_attention(compute, batch.row_lengths, batch.prefix, batch.bounds, batch.longest)
    with compute.autocast():
        hidden = model(batch.input_ids, batch.positions, attend)
    targets = batch.targets.flatten()[batch.trained]
    trained = hidden.flatten(0, 1)[batch.trained].to(compute.dtype)
    return linear_cross_entropy(trained, model.output_weight, targets, batch.counted)


def linear_cross_entropy(hidden: Tensor, weight: Tensor, targets: Tensor, counted: Tensor) -> Tensor:
    """Sum of cross entropies of `hidden @ weight.T` without holding all logits at once.

    Shapes: `hidden` [M, C] (its dtype is that of the matrix products), `weight` [V, C] float32, `targets` [M] int64
    in 0..V-1, `counted` [M] float32: how often a position counts, 0 for padding. Returns a float32 scalar; 0 if M = 0.
    """
    result: Tensor = _LinearCrossEntropy.apply(hidden, weight, targets, counted, torch.is_grad_enabled())
    return result


class _LinearCrossEntropy(torch.autograd.Function):
    """Computes the gradients together with the loss, chunk by chunk, so that no logits are kept for the backward.

    The idea is that of fused linear cross entropy kernels (Liger Kernel, arXiv 2410.10989), with plain matrix products.
    """

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, targets: Tensor, counted: Tensor, with_gradients: bool
    ) -> Tensor:
        size = len(weight)
        compute_weight = _padded(weight.to(hidden.dtype))
        total = torch.zeros((), dtype=torch.float32, device=hidden.device)
        # `needs_input_grad` stays true under no_grad, hence the flag: evaluation computes no gradients.
        hidden_grad = torch.empty_like(hidden) if with_gradients and any(ctx.needs_input_grad) else None
        weight_grad = torch.zeros_like(weight) if len(hidden) == 0 else None
        for start in range(0, len(hidden), CHUNK_POSITIONS):
            chunk = slice(start, start + CHUNK_POSITIONS)
            counts = counted[chunk, None]
            logits = F.linear(hidden[chunk], compute_weight)
            logits[:, size:] = -torch.inf
            losses, probabilities = _losses_and_probabilities(logits, targets[chunk, None])
            total += (losses * counts).sum()
            if hidden_grad is None:
                continue
            logit_grad = probabilities.scatter_add_(1, targets[chunk, None], probabilities.new_full(losses.shape, -1.0))
            logit_grad = logit_grad.to(hidden.dtype)
            hidden_grad[chunk] = logit_grad @ compute_weight * counts
            if ctx.needs_input_grad[1]:
                part = logit_grad[:, :size].T @ (hidden[chunk] * counts).to(hidden.dtype)
                weight_grad = part.float() if weight_grad is None else weight_grad.add_(part)
        ctx.save_for_backward(hidden_grad, weight_grad)
        return total

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, Tensor | None, None, None, None]:
        scaled = [None if grad is None else grad.mul_(grad_outputs[0]) for grad in ctx.saved_tensors]
        return scaled[0], scaled[1], None, None, None


def _losses_and_probabilities(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Negative log-likelihoods [M, 1] of `targets` [M, 1] and probabilities [M, V], both float32.

    The normaliser is read off the likeliest token, whose probability is at least 1 / V and so never underflows: one
    pass over the vocabulary less than a logarithmic softmax and its exponential.
    """
    probabilities = logits.softmax(dim=1, dtype=torch.float32)
    normaliser = logits.amax(dim=1, keepdim=True).float() - probabilities.amax(dim=1, keepdim=True).log()
    return normaliser - logits.gather(1, targets).float(), probabilities


def _padded(weight: Tensor) -> Tensor:
    """Round the vocabulary up, with rows of zeros, to what the device multiplies fast; [V, C] -> [>= V, C]."""
    missing = -len(weight) % Compute.of(weight).vocabulary_multiple
    return F.pad(weight, (0, 0, 0, missing)) if missing else weight
