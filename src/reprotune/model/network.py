"""The network: one decoder-only transformer whose parts a config chooses, so that GPT-2, Llama and their kin share it.

Shape legend: B sequences, T tokens of each, C width, H heads of queries, K heads of keys and values, D width of a head,
V vocabulary.

What a token may attend to is not decided here: `Network.forward` takes an `Attend`, so that training on padded batches,
training on packed rows and decoding with a cache share one network.
"""

import math
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from reprotune.model.attention import Attend, causal_attention
from reprotune.model.config import ModelConfig
from reprotune.model.layers import SwiGLU, norm
from reprotune.model.rotary import Rotation, rotate, rotation


class Block(nn.Module):
    """One layer: attention and a feed-forward network, each applied to normalised input and added to it.

    `c_attn` makes queries, keys and values at once, `c_fc` the gate and the values of a gated feed-forward network.
    """

    def __init__(self, config: ModelConfig, layer: int) -> None:
        super().__init__()
        width = config.n_embd
        self.layer = layer
        self.head_size = config.head_size
        self.qkv_widths = config.qkv_widths
        self.ln_1 = norm(config, width)
        self.c_attn = nn.Linear(width, sum(config.qkv_widths), bias=config.qkv_bias)
        self.q_norm = norm(config, config.head_size) if config.qk_norm else None
        self.k_norm = norm(config, config.head_size) if config.qk_norm else None
        self.attn_proj = nn.Linear(config.qkv_widths[0], width, bias=config.out_bias)
        self.ln_2 = norm(config, width)
        self.c_fc = nn.Linear(width, sum(config.inner_widths), bias=config.mlp_bias)
        self.act: nn.Module = SwiGLU() if config.gated else nn.GELU("tanh")
        self.mlp_proj = nn.Linear(config.n_inner, width, bias=config.mlp_bias)

    def forward(self, x: Tensor, attend: Attend, turned: Rotation | None = None) -> Tensor:
        """[B, T, C] -> [B, T, C]; `turned` is the rotation of the tokens' positions, where these are rotary."""
        return self.finish(x, attend(self.layer, *self.project(x, turned)))

    def project(self, x: Tensor, turned: Rotation | None) -> tuple[Tensor, Tensor, Tensor]:
        """Queries [B, H, T, D], keys and values [B, K, T, D] from the layer's input [B, T, C]."""
        batch, length, _ = x.shape
        query, key, value = (
            part.view(batch, length, -1, self.head_size).transpose(1, 2)
            for part in self.c_attn(self.ln_1(x)).split(self.qkv_widths, dim=2)
        )
        if self.q_norm is not None and self.k_norm is not None:
            query, key = self.q_norm(query), self.k_norm(key)
        if turned is not None:
            query, key = rotate(query, turned), rotate(key, turned)
        return query, key, value

    def finish(self, x: Tensor, read: Tensor) -> Tensor:
        """Add the output of attention, [B, H, T, D], and of the feed-forward network to `x` [B, T, C]."""
        x = x + self.attn_proj(read.transpose(1, 2).flatten(2))
        return x + self.mlp_proj(self.act(self.c_fc(self.ln_2(x))))


class Network(nn.Module):
    """The whole network; `forward` returns hidden states, `logits` turns the wanted ones into predictions."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.checkpoint_activations = False
        """Keep only each block's input for the backward pass and recompute the rest: less memory, more time."""
        self.head: nn.Module | None = None
        """Turns hidden states into logits in place of `output_weight`: a blocked copy of it, for decoding."""
        self.wte = nn.Embedding(config.vocab_size, config.n_embd)
        self.wpe = nn.Embedding(config.n_positions, config.n_embd) if config.rotary is None else None
        self.blocks = nn.ModuleList(Block(config, layer) for layer in range(config.n_layer))
        self.ln_f = norm(config, config.n_embd)
        self.lm_head = None if config.tied else nn.Linear(config.n_embd, config.vocab_size, bias=False)

    def forward(self, input_ids: Tensor, positions: Tensor | None = None, attend: Attend = causal_attention) -> Tensor:
        """Hidden states after the last norm, [B, T, C], of `input_ids` [B, T].

        `positions` [B, T] (or [1, T]) is each token's place in its own sequence; by default 0, 1, 2, ...
        """
        if positions is None:
            positions = torch.arange(input_ids.shape[1], device=input_ids.device)[None]
        x, turned = self.wte(input_ids), None
        if self.wpe is not None:
            x = x + self.wpe(positions)
        elif self.config.rotary is not None:
            x = x.float()  # the residual stream, whatever the format that the embedding is stored in
            turned = rotation(self.config.rotary, self.config.head_size, positions)
        for block in self.blocks:
            if self.checkpoint_activations and torch.is_grad_enabled():
                x = checkpoint(block, x, attend, turned, use_reentrant=False, preserve_rng_state=False)
            else:
                x = block(x, attend, turned)
        return cast(Tensor, self.ln_f(x))

    @property
    def output_weight(self) -> Tensor:
        """[V, C], by which hidden states become logits: the token embedding's, where the head is tied to it."""
        return self.wte.weight if self.lm_head is None else self.lm_head.weight

    def logits(self, hidden: Tensor) -> Tensor:
        """[..., C] -> [..., V]."""
        return F.linear(hidden, self.output_weight) if self.head is None else self.head(hidden)

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
            elif parameter.ndim == 1:
                nn.init.ones_(parameter)
            else:
                std = residual_scale if "_proj." in name else 0.02
                nn.init.normal_(parameter, std=std, generator=generator)
