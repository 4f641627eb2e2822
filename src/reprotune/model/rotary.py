"""Rotary positions: queries and keys are turned by an angle that grows with the place of their token."""

import math
from typing import Any

import torch
from torch import Tensor

from reprotune.model.config import Llama3Scaling, Rotary

Rotation = tuple[Tensor, Tensor]
"""Cosines and sines, each [B, 1, T, D / 2] float32, by which queries and keys are turned."""


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
    turned: Tensor = _RotateFunction.apply(x, *by)
    return turned


class _RotateFunction(torch.autograd.Function):
    """The gradient of a rotation is the rotation back, so nothing but the angles is kept for it."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
        ctx.save_for_backward(cosine, sine)
        return _rotated(x, cosine, sine)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, None, None]:
        cosine, sine = ctx.saved_tensors
        return _rotated(grad_outputs[0], cosine, -sine), None, None


def _rotated(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    out = torch.empty(x.shape, dtype=sine.dtype, device=x.device)
    first, second = x.chunk(2, dim=-1)
    left, right = out.chunk(2, dim=-1)
    torch.mul(first, cosine, out=left).addcmul_(second, sine, value=-1)
    torch.mul(second, cosine, out=right).addcmul_(first, sine)
    return out.to(x.dtype)
