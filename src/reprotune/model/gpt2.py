"""The GPT-2 network: token and position embeddings, pre-norm blocks, tied output head.

Shape legend: B sequences, T tokens of each, C width, H heads, D = C / H, V vocabulary.

What a token may attend to is not decided here: `GPT2.forward` takes an `Attend`, so that training on padded batches,
training on packed rows and decoding with a cache share one network.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from reprotune.model.attention import Attend, causal_attention
from reprotune.model.checkpoint import GPT2Config


class Block(nn.Module):
    """One layer: attention and a feed-forward network, each applied to normalised input and added to it."""

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
        """Queries, keys and values [B, H, T, D] from the layer's input [B, T, C]."""
        batch, length, width = x.shape
        query, key, value = (
            part.view(batch, length, self.n_head, width // self.n_head).transpose(1, 2)
            for part in self.c_attn(self.ln_1(x)).split(width, dim=2)
        )
        return query, key, value

    def finish(self, x: Tensor, read: Tensor) -> Tensor:
        """Add the output of attention, [B, H, T, D], and of the feed-forward network to `x` [B, T, C]."""
        x = x + self.attn_proj(read.transpose(1, 2).reshape(x.shape))
        return x + self.mlp_proj(self.act(self.c_fc(self.ln_2(x))))


class GPT2(nn.Module):
    """The whole network; `forward` returns hidden states, `logits` turns the wanted ones into predictions."""

    def __init__(self, config: GPT2Config) -> None:
        super().__init__()
        self.config = config
        self.checkpoint_activations = False
        """Keep only each block's input for the backward pass and recompute the rest: less memory, more time."""
        self.head: nn.Module | None = None
        """Turns hidden states into logits in place of the embedding matrix: a blocked copy of it, for decoding."""
        self.wte = nn.Embedding(config.vocab_size, config.n_embd)
        self.wpe = nn.Embedding(config.n_positions, config.n_embd)
        self.blocks = nn.ModuleList(Block(config, layer) for layer in range(config.n_layer))
        self.ln_f = nn.LayerNorm(config.n_embd, eps=config.layer_norm_epsilon)

    def forward(self, input_ids: Tensor, positions: Tensor | None = None, attend: Attend = causal_attention) -> Tensor:
        """Hidden states after the last norm, [B, T, C], of `input_ids` [B, T].

        `positions` [B, T] (or [1, T]) is each token's place in its own sequence; by default 0, 1, 2, ...
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
        """Compile what comes before and after the attention of each block (`torch.compile`), once for all blocks.

        Attention itself is left out: on a GPU it is a kernel of its own, and its shapes differ from batch to batch.
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
