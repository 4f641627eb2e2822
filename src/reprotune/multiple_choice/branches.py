"""Contexts that branch into continuations, computed without repeating a token that several of them begin with.

    beginning      b b b                 once for all rows; its keys and values are kept
    row 1                c c             the rest of a context
                             x x         first continuation, after b b b c c
                             y           second one, after b b b c c too
    row 2                d d d           another context
                               z

Rows are laid one after another in a packed sequence. Attention runs over blocks of neighbouring rows, each with a mask
that lets a token see the beginning, its row's context and its own continuation so far. The last token of a
continuation is predicted and never read.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from reprotune.compute.device import Compute
from reprotune.dataset.tokenizers.encoding import Ids
from reprotune.generation.cache import KeyValueCache
from reprotune.model.attention import Attend
from reprotune.model.network import Network

BLOCK_TOKENS = 256
"""A block of rows takes about so many tokens, since a mask hides what it does not spare: half of attention is wasted at
100 tokens a row, which is a twentieth of a GPT-2 layer's work."""


class Branching(NamedTuple):
    """A context of at least one token, and the continuations that are scored after it, each of at least one."""

    context: Sequence[int]
    continuations: list[Ids]

    def read_tokens(self, prefix: int = 0) -> int:
        """Tokens that the network reads, without the first `prefix` of the context."""
        return len(self.context) - prefix + sum(len(tokens) - 1 for tokens in self.continuations)


class Target(NamedTuple):
    """A token to be predicted: from which of the read tokens, and for which row's continuation."""

    read: int
    token: int
    row: int
    continuation: int


class Pack(NamedTuple):
    """Rows as one sequence of tokens with their positions and attention blocks, and what is to be predicted."""

    input_ids: Tensor
    positions: Tensor
    blocks: list[tuple[int, int, Tensor]]
    """Where each block starts and ends, and its mask [tokens, tokens]: whether a token sees another of the block."""
    targets: list[Target]
    """In the order of `read`."""


def packed(rows: Sequence[Branching], prefix: int) -> Pack:
    """Lay rows one after another, without the `prefix` tokens that they all begin with."""
    input_ids: Ids = []
    positions: Ids = []
    labels: list[tuple[int, int]] = []  # of each token its row, and its continuation (0: the context)
    targets: list[Target] = []
    for number, row in enumerate(rows):
        tail = row.context[prefix:]
        input_ids += tail
        positions += range(prefix, len(row.context))
        labels += [(number, 0)] * len(tail)
        last = len(input_ids) - 1
        targets += [Target(last, tokens[0], number, place) for place, tokens in enumerate(row.continuations)]
        for place, tokens in enumerate(row.continuations):
            first, count = len(input_ids), len(tokens) - 1
            targets += [Target(first + step, token, number, place) for step, token in enumerate(tokens[1:])]
            input_ids += tokens[:-1]
            positions += range(len(row.context), len(row.context) + count)
            labels += [(number, place + 1)] * count
    marks = torch.tensor(labels)
    blocks = [(start, end, _visible(marks[start:end])) for start, end in _block_bounds(rows, prefix)]
    return Pack(torch.tensor(input_ids), torch.tensor(positions), blocks, targets)


def _block_bounds(rows: Sequence[Branching], prefix: int) -> Iterator[tuple[int, int]]:
    start = end = 0
    for row in rows:
        size = row.read_tokens(prefix)
        if end > start and end - start + size > BLOCK_TOKENS:
            yield start, end
            start = end
        end += size
    yield start, end


def _visible(marks: Tensor) -> Tensor:
    """Return which tokens each token of a block sees, [T, T], from their rows and continuations, [T, 2]."""
    rows, places = marks.unbind(1)
    same_branch = (places[None] == 0) | (places[None] == places[:, None])
    return ((rows[None] == rows[:, None]) & same_branch).tril()


class Beginning:
    """The tokens that rows share, read once when it is made; `hidden_states` reads the rest of some rows."""

    def __init__(self, model: Network, tokens: Sequence[int], longest: int) -> None:
        """Read `tokens`, which may be none, and keep room behind them for blocks of rows of up to `longest` tokens."""
        room = max(BLOCK_TOKENS, longest)
        self.length = len(tokens)
        self._model = model
        self._compute = Compute.of(model.wte.weight)
        self._cache = KeyValueCache(model.config, 1, self.length + room, self._compute) if tokens else None
        if self._cache is not None:
            attend = self._cache.prefill(0, [self.length], 0)
            self._read(torch.tensor(tokens), torch.arange(self.length), attend)

    def hidden_states(self, pack: Pack) -> Tensor:
        """Return what the network makes of the tokens of a pack, [tokens, C]."""
        return self._read(pack.input_ids, pack.positions, self._attend(pack))

    def _read(self, input_ids: Tensor, positions: Tensor, attend: Attend) -> Tensor:
        device = self._compute.device
        return self._model(input_ids[None].to(device), positions[None].to(device), attend)[0]

    def _attend(self, pack: Pack) -> Attend:
        device, before = self._compute.device, self.length
        blocks = []
        for start, end, visible in pack.blocks:
            mask = torch.zeros(end - start, before + end - start)
            mask[:, before:].masked_fill_(~visible, -torch.inf)
            blocks.append((start, end, mask.to(device, self._compute.dtype)))

        def attend(layer: int, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
            grouped = query.shape[1] != key.shape[1]
            read = torch.empty_like(query)
            for start, end, mask in blocks:
                keys, values = self._with_beginning(layer, key[:, :, start:end], value[:, :, start:end])
                read[:, :, start:end] = F.scaled_dot_product_attention(
                    query[:, :, start:end], keys, values, attn_mask=mask, enable_gqa=grouped
                )
            return read

        return attend

    def _with_beginning(self, layer: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Return keys and values of a block behind those of the beginning, which are not copied for it."""
        if self._cache is None:
            return key, value
        end = self.length + key.shape[2]
        keys, values = self._cache.keys[layer, :, :, :end], self._cache.values[layer, :, :, :end]
        keys[:, :, self.length :] = key
        values[:, :, self.length :] = value
        return keys, values
