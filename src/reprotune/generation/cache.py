"""A static key-value cache: keys and values of past tokens, so that no token is computed twice.

Shape legend: S slots (one row each), A active slots (always the first A), T tokens, H heads of queries, K of keys
and values, D head width.

    slot 0   k k k k k . . .      filled up to the row's own position;
    slot 1   k k . . . . . .      the rest is masked, whatever it holds
    slot 2   . . . . . . . .      free
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from reprotune.compute.device import Compute
from reprotune.dataset.packing import packed_positions
from reprotune.model.attention import Attend, packed_attention
from reprotune.model.config import ModelConfig


class Opening(NamedTuple):
    """Keys and values of some first tokens of a prompt, [layers, K, tokens, D], apart from the slots."""

    tokens: list[int]
    keys: Tensor
    values: Tensor


class KeyValueCache:
    """Keys and values of every layer, allocated once for `slots` rows of at most `capacity` tokens.

    `keys` and `values` are [layers, S, K, capacity, D]; they start as zeros because a masked value still takes part
    in a product, where a stray NaN would survive.
    """

    def __init__(self, config: ModelConfig, slots: int, capacity: int, compute: Compute) -> None:
        shape = (config.n_layer, slots, config.n_kv_head, capacity, config.head_size)
        self.compute = compute
        self.keys = torch.zeros(shape, device=compute.device, dtype=compute.dtype)
        self.values = torch.zeros(shape, device=compute.device, dtype=compute.dtype)

    def prefill(
        self, first_slot: int, row_lengths: Sequence[int], prefix: int, opening: Opening | None = None, known: int = 0
    ) -> Attend:
        """Attend within whole prompts, packed into one sequence [1, H, N, D], each on its own.

        The first `prefix` tokens belong to every prompt; then come `row_lengths` tokens of each. The first `known` of
        the prefix are not in the sequence: an opening has their keys and values. Those of all tokens are kept in the
        slots from `first_slot` on.
        """
        device = self.compute.device
        last_slot = first_slot + len(row_lengths)
        slots = torch.arange(first_slot, last_slot).repeat_interleave(torch.tensor(row_lengths)).to(device)
        places = packed_positions(row_lengths, prefix).to(device)
        read_rows = packed_attention(self.compute, row_lengths, prefix)

        def attend(layer: int, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
            if opening is not None:  # with queries of zeros, whose output is dropped
                key = torch.cat([opening.keys[layer][None, :, :known].to(key.dtype), key], dim=2)
                value = torch.cat([opening.values[layer][None, :, :known].to(value.dtype), value], dim=2)
                query = F.pad(query, (0, 0, known, 0))
            for kept, new in ((self.keys[layer], key[0]), (self.values[layer], value[0])):
                kept[first_slot:last_slot, :, :prefix] = new[:, :prefix]
                kept[slots, :, places] = new[:, prefix:].transpose(0, 1)
            return read_rows(layer, query, key, value)[:, :, known:]

        return attend

    def step(self, at: Tensor, longest: int) -> Attend:
        """Attend from one new token in each of the first A slots, at positions `at` [A], to that slot's past.

        `longest` is at least the largest position plus one: how much of the cache is read.

        Attention is written out: for a single query on a CPU it is two to four times faster than
        `scaled_dot_product_attention` (GPT-2 124M, 32 rows of 100 tokens). Which factor of the scores comes first makes
        no difference but in speed: two to three times on a CPU, and the other way round in bfloat16.
        """
        active = len(at)
        queries_first = self.compute.dtype == torch.float32
        slots = torch.arange(active, device=self.keys.device)
        future = torch.arange(longest, device=self.keys.device) > at[:, None]

        def attend(layer: int, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
            self.keys[layer, slots, :, at] = key[:, :, 0]
            self.values[layer, slots, :, at] = value[:, :, 0]
            past_keys = self.keys[layer, :active, :, :longest]
            past_values = self.values[layer, :active, :, :longest]
            grouped = query.unflatten(1, (past_keys.shape[1], -1)).squeeze(3)  # [A, K, H / K, D]
            if queries_first:
                scores = grouped @ past_keys.transpose(2, 3)
            else:
                scores = (past_keys @ grouped.transpose(2, 3)).transpose(2, 3)
            scores = scores / math.sqrt(query.shape[3])
            weights = scores.masked_fill(future[:, None, None], -math.inf).softmax(dim=3)
            return (weights.to(past_values.dtype) @ past_values).flatten(1, 2)[:, :, None]

        return attend

    def opening(self, slot: int, tokens: list[int]) -> Opening:
        """Return a copy of what a slot holds of its first tokens, which are `tokens`."""
        return Opening(
            tokens, self.keys[:, slot, :, : len(tokens)].clone(), self.values[:, slot, :, : len(tokens)].clone()
        )

    def move(self, source: int, target: int, length: int) -> None:
        """Copy the first `length` tokens of slot `source` to slot `target`."""
        self.keys[:, target, :, :length] = self.keys[:, source, :, :length]
        self.values[:, target, :, :length] = self.values[:, source, :, :length]

    def take(self, other: "KeyValueCache", slots: int) -> None:
        """Copy what the first `slots` slots of a smaller cache hold."""
        length = other.keys.shape[3]
        self.keys[:, :slots, :, :length] = other.keys[:, :slots]
        self.values[:, :slots, :, :length] = other.values[:, :slots]
