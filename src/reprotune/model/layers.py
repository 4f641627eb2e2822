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
        gated: Tensor = _SwiGLUFunction.apply(x)
        return gated


class _SwiGLUFunction(torch.autograd.Function):
    """Keeps its input alone for the backward pass, and writes both halves of the gradient where they belong."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        gate, value = x.chunk(2, dim=-1)
        return F.silu(gate).mul_(value)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> Tensor:
        (x,), (grad,) = ctx.saved_tensors, grad_outputs
        gate, value = x.chunk(2, dim=-1)
        x_grad = torch.empty_like(x)
        of_gate, of_value = x_grad.chunk(2, dim=-1)
        torch.mul(F.silu(gate), grad, out=of_value)
        torch.ops.aten.silu_backward.grad_input(grad * value, gate, grad_input=of_gate)
        return x_grad


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
