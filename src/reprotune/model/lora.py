"""Low-rank adapters (LoRA, Hu et al. 2021, arXiv:2106.09685): train W + (alpha / rank) B A with W frozen."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from reprotune.model.checkpoint import check_rank
from reprotune.model.network import Network

ADAPTED_LAYERS = ("c_attn", "attn_proj", "c_fc", "mlp_proj")


class LoRALinear(nn.Module):
    """A frozen linear layer plus a trained update of low rank, initially zero."""

    def __init__(self, base: nn.Linear, rank: int, alpha: float, generator: torch.Generator) -> None:
        super().__init__()
        self.base = base
        self.scale = alpha / rank
        # Drawn on the CPU, so that every device starts from the same numbers.
        down = nn.init.kaiming_uniform_(torch.empty(rank, base.in_features), a=math.sqrt(5), generator=generator)
        self.down = nn.Parameter(down.to(base.weight))
        self.up = nn.Parameter(base.weight.new_zeros(base.out_features, rank))

    def forward(self, x: Tensor) -> Tensor:
        """[..., in] -> [..., out]."""
        return self.base(x) + self.scale * F.linear(F.linear(x, self.down), self.up)

    @torch.no_grad()
    def merged(self) -> nn.Linear:
        """Fold the update into the wrapped layer, in place, and return that layer."""
        self.base.weight += self.scale * (self.up @ self.down)
        return self.base


def add_adapters(model: Network, rank: int, alpha: float, generator: torch.Generator) -> None:
    """Freeze `model` and give every linear layer of its blocks an adapter; only the adapters get gradients.

    `generator` is a CPU generator. Raises `UserError` if `rank` is above that of the matrices.
    """
    check_rank(rank, model.config.n_embd)
    model.requires_grad_(False)
    for block in model.blocks:
        for name in ADAPTED_LAYERS:
            setattr(block, name, LoRALinear(getattr(block, name), rank, alpha, generator))


def merge_adapters(model: Network) -> None:
    """Fold every adapter into its layer, so that `model` is a plain, unfrozen GPT-2 again; for saving."""
    for block in model.blocks:
        for name in ADAPTED_LAYERS:
            setattr(block, name, getattr(block, name).merged())
    model.requires_grad_(True)
