"""Weights kept in the blocks that a CPU's matrix kernels read, for decoding.

oneDNN multiplies by blocks of a weight matrix. Given a plain matrix it copies it into blocks at every product, which
for the few rows of a decoding step costs up to as much as the product itself; kept in blocks, GPT-2's matrices are
multiplied 1.2 to 2 times as fast in bfloat16 and 1.4 to 4 times in float32 (1 to 64 rows, AMD EPYC with AVX-512,
torch 2.13). `torch.compile` does the same when it freezes a model, through the same operators.
"""

import torch
from torch import Tensor, nn

from reprotune.model.gpt2 import GPT2


def pack_matrices(model: GPT2) -> bool:
    """Replace the linear layers and the output head, in place, by packed ones; the model then only predicts.

    Returns whether it did: on GPUs, and on processors that oneDNN has no kernels for, nothing is changed. The token
    embedding stays beside the packed head, since a packed matrix has no rows to look up.
    """
    if not can_pack(model.wte.weight.device, model.wte.weight.dtype):
        return False
    for block in model.blocks:
        for name in ("c_attn", "attn_proj", "c_fc", "mlp_proj"):
            linear: nn.Linear = getattr(block, name)
            setattr(block, name, PackedLinear(linear.weight, linear.bias, gelu=name == "c_fc"))
        block.act = nn.Identity()
    model.head = PackedLinear(model.wte.weight, None)
    return True


class PackedLinear(nn.Module):
    """`x @ weight.T + bias` in the format of `weight` [out, in], then GELU if wanted; without gradients."""

    def __init__(self, weight: Tensor, bias: Tensor | None, gelu: bool = False) -> None:
        super().__init__()
        self.dtype = weight.dtype
        self.weight = torch.ops.mkldnn._reorder_linear_weight(weight.detach())
        self.bias = None if bias is None else bias.detach()
        self.then: tuple[str, list[float], str] = ("gelu", [], "tanh") if gelu else ("none", [], "")

    def forward(self, x: Tensor) -> Tensor:
        """[..., in] -> [..., out]."""
        return torch.ops.mkldnn._linear_pointwise(x.to(self.dtype), self.weight, self.bias, *self.then)


def can_pack(device: torch.device, dtype: torch.dtype) -> bool:
    """Say whether oneDNN has kernels of its own here: on x86 processors (elsewhere it was not measured)."""
    if device.type != "cpu" or not torch.backends.mkldnn.is_available():
        return False
    if not torch.backends.cpu.get_cpu_capability().startswith("AVX"):
        return False
    return dtype == torch.float32 or bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
