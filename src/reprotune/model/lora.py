"""Low-rank adapters (LoRA, Hu et al. 2021, arXiv:2106.09685): train W + s B A with W frozen.

Two variants: rank-stabilised scaling, s = alpha / sqrt(rank) (Kalajdzievski 2023, arXiv:2312.03732), and DoRA, which
trains the length of each row of the sum apart from its direction (Liu et al. 2024, arXiv:2402.09353).
"""

import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

from reprotune.model.checkpoint import check_rank
from reprotune.model.config import ModelConfig
from reprotune.model.families import FAMILIES, LINEAR, part_rows
from reprotune.model.network import Network
from reprotune.params.sections.finetune import LoraParams

ADAPTED_LAYERS = {
    "attention": ("c_attn", "attn_proj"),
    "feed_forward": ("c_fc", "mlp_proj"),
    "all": LINEAR,
}
"""Linear layers of a block, by `finetune.lora.targets`."""
ADAPTER_WEIGHTS, ADAPTER_CONFIG = "adapter_model.safetensors", "adapter_config.json"


class LoRALinear(nn.Module):
    """A frozen linear layer plus a trained update of low rank, initially zero.

    A layer that joins several matrices (queries, keys and values) has an adapter for each: `parts` are their rows. The
    rows of `down` [parts * rank, in] are one matrix A after another, those of `up` [out, rank] one B after another.
    """

    def __init__(self, base: nn.Linear, params: LoraParams, parts: Sequence[int], generator: torch.Generator) -> None:
        super().__init__()
        self.base = base
        self.rank = params.rank
        self.parts = list(parts)
        self.scale = params.scale
        shape = len(self.parts) * self.rank, base.in_features
        # Drawn on the CPU, so that every device starts from the same numbers.
        down = nn.init.kaiming_uniform_(torch.empty(shape), a=math.sqrt(5), generator=generator)
        self.down = nn.Parameter(down.to(base.weight))
        self.up = nn.Parameter(base.weight.new_zeros(base.out_features, self.rank))
        self.length = nn.Parameter(_row_lengths(base.weight)) if params.dora else None

    def forward(self, x: Tensor) -> Tensor:
        """[..., in] -> [..., out]."""
        low = F.linear(x, self.down)
        pairs = zip(low.split(self.rank, dim=-1), self.up.split(self.parts), strict=True)
        update = self.scale * _joined([F.linear(part, up) for part, up in pairs], dim=-1)
        if self.length is None:
            return self.base(x) + update
        share = (
            self.length / _row_lengths(self.summed()).detach()
        )  # the length is no part of the gradient (section 4.3)
        out = share * (F.linear(x, self.base.weight) + update)
        return out if self.base.bias is None else out + self.base.bias

    def summed(self) -> Tensor:
        """W + s B A, [out, in]."""
        pairs = zip(self.down.split(self.rank), self.up.split(self.parts), strict=True)
        return self.base.weight + self.scale * _joined([up @ down for down, up in pairs], dim=0)

    @torch.no_grad()
    def merged(self) -> nn.Linear:
        """Fold the update into the wrapped layer, in place, and return that layer."""
        summed = self.summed()
        if self.length is not None:
            summed = summed * (self.length / _row_lengths(summed))[:, None]
        self.base.weight.copy_(summed)
        return self.base


def _joined(parts: list[Tensor], dim: int) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim)


def _row_lengths(weight: Tensor) -> Tensor:
    return torch.linalg.vector_norm(weight, dim=1)


def add_adapters(model: Network, params: LoraParams, generator: torch.Generator) -> None:
    """Freeze `model` and give the chosen linear layers of its blocks an adapter; only the adapters get gradients.

    `generator` is a CPU generator. Raises `UserError` if the rank is above that of the matrices.
    """
    check_rank(params.rank, model.config.n_embd)
    model.requires_grad_(False)
    for block in model.blocks:
        for name in ADAPTED_LAYERS[params.targets]:
            parts = part_rows(model.config, name)
            setattr(block, name, LoRALinear(getattr(block, name), params, parts, generator))


def merge_adapters(model: Network) -> None:
    """Fold every adapter into its layer, so that `model` is a plain, unfrozen network again; for saving."""
    for _, block, name, adapter in _adapters(model):
        setattr(block, name, adapter.merged())
    model.requires_grad_(True)


def save_adapters(model: Network, params: LoraParams, folder: Path) -> None:
    """Write the adapters as the `peft` library reads them, onto the base model as it was fetched."""
    folder.mkdir(parents=True, exist_ok=True)
    family = FAMILIES[model.config.family]
    tensors: dict[str, Tensor] = {}
    for layer, _, name, adapter in _adapters(model):
        downs, ups = adapter.down.split(adapter.rank), adapter.up.split(adapter.parts)
        lengths = [None] * len(ups) if adapter.length is None else adapter.length.split(adapter.parts)
        for part, down, up, length in zip(family.inner[name], downs, ups, lengths, strict=True):
            stem = f"base_model.model.{family.prefix}{family.layers}{layer}.{part}"
            tensors[f"{stem}.lora_A.weight"] = down
            tensors[f"{stem}.lora_B.weight"] = up
            if length is not None:
                tensors[f"{stem}.lora_magnitude_vector"] = length
    stored = {name: tensor.detach().to("cpu", torch.float32).contiguous() for name, tensor in tensors.items()}
    save_file(stored, folder / ADAPTER_WEIGHTS, metadata={"format": "pt"})
    text = json.dumps(_peft_config(model.config, params), indent=2, sort_keys=True) + "\n"
    (folder / ADAPTER_CONFIG).write_text(text, encoding="utf-8", newline="\n")


def _peft_config(config: ModelConfig, params: LoraParams) -> dict[str, object]:
    family = FAMILIES[config.family]
    targets = [part for name in ADAPTED_LAYERS[params.targets] for part in family.inner[name]]
    return {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": None,
        "r": params.rank,
        "lora_alpha": params.alpha,
        "lora_dropout": 0.0,
        "use_rslora": params.rank_stabilised,
        "use_dora": params.dora,
        "target_modules": sorted(targets),
        "fan_in_fan_out": bool(family.transposed),
        "bias": "none",
        "inference_mode": True,
    }


def _adapters(model: Network) -> Iterator[tuple[int, nn.Module, str, LoRALinear]]:
    """Yield (layer, block, name, adapter) of every adapter."""
    for layer, block in enumerate(model.blocks):
        for name in ADAPTED_LAYERS["all"]:
            if isinstance(adapter := getattr(block, name), LoRALinear):
                yield layer, block, name, adapter
