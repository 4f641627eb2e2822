"""The GPT-2 network: token and position embeddings, pre-norm blocks, tied output head.

Shape legend: B sequences, T tokens of each, C width, H heads, D = C / H, V vocabulary.

What a token may look at is not decided here: `GPT2.forward` takes an `Attend`, so that training on padded batches,
training on packed rows and decoding with a cache share one network.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from reprotune.model.attention import Attend, causal_attention


@dataclass(frozen=True)
class GPT2Config:
    """Shape of a GPT-2; the names are those of the Hugging Face config.json."""

    n_layer: int
    n_head: int
    n_embd: int
    n_positions: int = 1024
    vocab_size: int = 50257
    layer_norm_epsilon: float = 1e-5


GPT2_SIZES = {
    "gpt2": GPT2Config(n_layer=12, n_head=12, n_embd=768),
    "gpt2-medium": GPT2Config(n_layer=24, n_head=16, n_embd=1024),
    "gpt2-large": GPT2Config(n_layer=36, n_head=20, n_embd=1280),
    "gpt2-xl": GPT2Config(n_layer=48, n_head=25, n_embd=1600),
}


class Block(nn.Module):
    """One layer: attention and a feed-forward part, each on normalised input and added to its input."""

    def __init__(self, config: GPT2Config, layer: int) -> None:
        super().__init__()
        width = config.n_embd
        self.layer = layer
        self.n_head = config.n_head
        self.ln_1 = nn.LayerNorm(width, eps=config.layer_norm_epsilon)
        self.c_attn = nn.Linear(width, 3 * width)
        self.attn_proj = nn.Linear(width, width)
        self.ln_2 = nn.LayerNorm(width, eps=config.layer_norm_epsilon)
        self.c_fc = nn.Linear(width, 4 * width)
        self.act = nn.GELU("tanh")
        self.mlp_proj = nn.Linear(4 * width, width)

    def forward(self, x: Tensor, attend: Attend) -> Tensor:
        """[B, T, C] -> [B, T, C]."""
        return self.finish(x, attend(self.layer, *self.project(x)))

    def project(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values [B, H, T, D] of what enters the layer, [B, T, C]."""
        batch, length, width = x.shape
        query, key, value = (
            part.view(batch, length, self.n_head, width // self.n_head).transpose(1, 2)
            for part in self.c_attn(self.ln_1(x)).split(width, dim=2)
        )
        return query, key, value

    def finish(self, x: Tensor, read: Tensor) -> Tensor:
        """Add what was read, [B, H, T, D], and the feed-forward part to `x` [B, T, C]."""
        x = x + self.attn_proj(read.transpose(1, 2).reshape(x.shape))
        return x + self.mlp_proj(self.act(self.c_fc(self.ln_2(x))))


class GPT2(nn.Module):
    """The whole network; `forward` gives hidden states, `logits` turns those that matter into predictions."""

    def __init__(self, config: GPT2Config) -> None:
        super().__init__()
        self.config = config
        self.checkpoint_activations = False
        """Keep only each block's input for the backward pass and compute the rest of it again: memory for time."""
        self.head: nn.Module | None = None
        """What turns hidden states into logits instead of the embedding matrix: a packed copy of it."""
        self.wte = nn.Embedding(config.vocab_size, config.n_embd)
        self.wpe = nn.Embedding(config.n_positions, config.n_embd)
        self.blocks = nn.ModuleList(Block(config, layer) for layer in range(config.n_layer))
        self.ln_f = nn.LayerNorm(config.n_embd, eps=config.layer_norm_epsilon)

    def forward(self, input_ids: Tensor, positions: Tensor | None = None, attend: Attend = causal_attention) -> Tensor:
        """Hidden states after the last norm, [B, T, C], of `input_ids` [B, T].

        `positions` [B, T] (or [1, T]) counts each token's place in its own sequence; by default 0, 1, 2, ...
        """
        if positions is None:
            positions = torch.arange(input_ids.shape[1], device=input_ids.device)[None]
        x = self.wte(input_ids) + self.wpe(positions)
        for block in self.blocks:
            if self.checkpoint_activations and torch.is_grad_enabled():
                x = checkpoint(block, x, attend, use_reentrant=False, preserve_rng_state=False)
            else:
                x = block(x, attend)
        return self.ln_f(x)

    def logits(self, hidden: Tensor) -> Tensor:
        """[..., C] -> [..., V], through the embedding matrix (the head is tied)."""
        return F.linear(hidden, self.wte.weight) if self.head is None else self.head(hidden)

    def compile_blocks(self) -> None:
        """Compile what stands before and after the attention of each block (`torch.compile`), once for all blocks.

        Attention itself stays as it is: it is a kernel of its own on a GPU, and its shapes differ from batch to batch.
        """
        for block in self.blocks:
            for part in ("project", "finish"):
                setattr(block, part, torch.compile(getattr(block, part), dynamic=True))

    def initialize(self, generator: torch.Generator) -> None:
        """Draw fresh weights as GPT-2 did: N(0, 0.02), residual projections scaled by 1/sqrt(2 layers), biases 0."""
        residual_scale = 0.02 / math.sqrt(2 * self.config.n_layer)
        for name, parameter in self.named_parameters():
            if name.endswith("bias"):
                nn.init.zeros_(parameter)
            elif "ln_" in name:
                nn.init.ones_(parameter)
            else:
                std = residual_scale if "_proj." in name else 0.02
                nn.init.normal_(parameter, std=std, generator=generator)
