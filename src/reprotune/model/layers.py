"""The parts in which families differ: norms, and the gate of the feed-forward network."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from reprotune.compute.device import Compute
from reprotune.model.config import ModelConfig


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
