"""The parts in which families differ: norms, rotary positions, the gate of the feed-forward network."""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from reprotune.compute.device import Compute
from reprotune.model.config import Llama3Scaling, ModelConfig, Rotary

Rotation = tuple[Tensor, Tensor]
"""Cosines and sines, each [B, 1, T, D / 2] float32, by which queries and keys are turned."""


class RMSNorm(nn.Module):
    """x / rms(x) * weight, computed in float32 (Zhang and Sennrich 2019, arXiv:1910.07467)."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        """[..., width] -> [..., width], in the format of `x`."""
        full = x.float()
        if Compute.of(x).fuses_rms_norm:
            return F.rms_norm(full, (len(self.weight),), self.weight, self.eps).to(x.dtype)
        normed: Tensor = _RMSNormFunction.apply(full, self.weight, self.eps)
        return normed.to(x.dtype)


class _RMSNormFunction(torch.autograd.Function):
    """The same in a third of the time on a CPU, where torch has no kernel for it, but one for the layer norm.

    The backward pass of a layer norm with mean 0 is this norm's, less the mean of the gradient, which is put back.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        width = x.shape[-1]
        lengths = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
        scale = lengths.square_().div_(width).add_(eps).rsqrt_()
        ctx.save_for_backward(x, scale, weight)
        return (x * scale).mul_(weight)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, Tensor, None]:
        x, scale, weight = ctx.saved_tensors
        (grad,) = grad_outputs
        width = x.shape[-1]
        x_grad, weight_grad, _ = torch.ops.aten.native_layer_norm_backward(
            grad, x, [width], torch.zeros_like(scale), scale, weight, None, [True, True, False]
        )
        means = torch.mv(grad.reshape(-1, width), weight).view_as(scale).mul_(scale).div_(width)
        return x_grad.add_(means), weight_grad, None


def norm(config: ModelConfig, width: int) -> nn.Module:
    """Return a fresh norm of the config's kind over the last `width` numbers."""
    return RMSNorm(width, config.norm_eps) if config.norm == "rms" else nn.LayerNorm(width, eps=config.norm_eps)


class SwiGLU(nn.Module):
    """silu(gate) * value, of a layer that makes both."""

    def forward(self, x: Tensor) -> Tensor:
        """[..., 2 I] -> [..., I]; the gate is the first half."""
        gate, value = x.chunk(2, dim=-1)
        return F.silu(gate) * value


def rotation(rotary: Rotary, head_size: int, positions: Tensor) -> Rotation:
    """Return by how much heads of width D are turned at each position, [B, T] -> [B, 1, T, D / 2] twice.

    Computed anew for each pass: a few operations on one row of numbers, against thousands in the layers.
    """
    angles = positions[:, None, :, None].float() * stretched_frequencies(rotary, head_size, positions.device)
    return angles.cos(), angles.sin()


def stretched_frequencies(rotary: Rotary, head_size: int, device: torch.device | str = "cpu") -> Tensor:
    """Return by how much each pair of a head's dimensions is turned from one position to the next, [D / 2] float32."""
    exponents = torch.arange(0, head_size, 2, dtype=torch.float32, device=device) / head_size
    frequencies = 1.0 / rotary.theta**exponents
    return frequencies if rotary.scaling is None else _stretched(frequencies, rotary.scaling)


def _stretched(frequencies: Tensor, scaling: Llama3Scaling) -> Tensor:
    waves = scaling.original_positions * frequencies / (2 * math.pi)  # within the original context
    blend = ((waves - scaling.low) / (scaling.high - scaling.low)).clamp(0, 1)
    return frequencies * (blend + (1 - blend) / scaling.factor)


def rotate(x: Tensor, by: Rotation) -> Tensor:
    """Turn each pair (x[i], x[i + D / 2]) of every head, [B, H, T, D] -> the same shape and format."""
    cosine, sine = by
    first, second = x.chunk(2, dim=-1)
    return torch.cat([first * cosine - second * sine, second * cosine + first * sine], dim=-1).to(x.dtype)
