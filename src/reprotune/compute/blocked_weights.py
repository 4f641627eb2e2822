"""Linear layers whose weights are kept in the blocks that a CPU's matrix kernels read.

oneDNN multiplies block by block. Given a plain matrix it copies it into blocks for every product, which for the few
rows of a decoding step can cost as much as the product itself. Kept in blocks, GPT-2's matrices are multiplied 1.2 to 2
times as fast in bfloat16 and 1.4 to 4 times in float32 (1 to 64 rows, AMD EPYC with AVX-512, torch 2.13).
`torch.compile` does the same when it freezes a model, through the same operators.
"""

import torch
from torch import Tensor, nn


class BlockedLinear(nn.Module):
    """`x @ weight.T + bias` in the format of `weight` [out, in], followed by GELU if asked; has no gradients.

    Only where `Compute.blocks_weights` holds.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None, gelu: bool = False) -> None:
        super().__init__()
        self.dtype = weight.dtype
        self.weight = torch.ops.mkldnn._reorder_linear_weight(weight.detach())
        self.bias = None if bias is None else bias.detach()
        self.then: tuple[str, list[float], str] = ("gelu", [], "tanh") if gelu else ("none", [], "")

    def forward(self, x: Tensor) -> Tensor:
        """[..., in] -> [..., out]."""
        return torch.ops.mkldnn._linear_pointwise(x.to(self.dtype), self.weight, self.bias, *self.then)
