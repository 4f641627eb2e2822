"""Causal attention of padded batches, and within each row of a packed sequence, never across rows.

On a packed sequence the linear layers run over all tokens without any padding; only attention has to keep rows apart.
Flash attention does so itself (`VarlenAttention`). Elsewhere tokens are gathered into small padded blocks
(`BlockAttention`):

    packed   a a a b b c c c c        blocks   a a a .     attended to causally, each line alone,
                                               b b . .     then scattered back
                                               c c c c

    with a shared prefix (`reprotune.dataset.packing`), which every line attends to first:

    packed   p p a a a b b            blocks   p p
                                         p p + a a a
                                         p p + b b .

Rows are grouped by the power of two above their length, so that padding inside attention stays below one half and one
long row does not widen all others.
"""

import inspect
import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from reprotune.compute.device import Compute
from reprotune.dataset.packing import row_bounds

Attend = Callable[[int, Tensor, Tensor, Tensor], Tensor]
"""(layer index, queries [B, H, T, D], keys and values [B, K, T, D]) -> the output for each query, [B, H, T, D].

K divides H: each head of keys and values is read by H / K heads of queries, and never copied for them."""


@dataclass(frozen=True)
class FlashKernel:
    """This torch's flash attention over rows one after another, and how it is called."""

    attend: Callable[..., Any]
    causal: dict[str, Any]
    groups_heads: bool
    """Whether it takes fewer heads of keys than of queries."""


@cache
def flash_kernel() -> FlashKernel:
    """Import it where a GPU needs it: that loads torch's compiler, and takes longer than all the rest of torch."""
    from torch.nn.attention.varlen import varlen_attn  # noqa: PLC0415

    return FlashKernel(
        varlen_attn, causal_option(varlen_attn), "enable_gqa" in inspect.signature(varlen_attn).parameters
    )


def causal_option(kernel: Callable[..., Any]) -> dict[str, Any]:
    """How to make this torch's kernel causal: by `window_size`, or by `is_causal` in its first release."""
    return {"is_causal": True} if "is_causal" in inspect.signature(kernel).parameters else {"window_size": (-1, 0)}


def causal_attention(_layer: int, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Let each position attend to itself and to everything before it; enough for batches padded on the right.

    There may be more keys than queries: the queries are then the last positions.
    """
    length, before = query.shape[2], key.shape[2] - query.shape[2]
    if Compute.of(query).writes_out_attention(length):
        return _written_out(query, key, value)
    if before:  # queries whose output is dropped: the causal kernel skips the future, which a mask would only hide
        query = F.pad(query, (0, 0, before, 0))
    grouped = query.shape[1] != key.shape[1]
    return F.scaled_dot_product_attention(query, key, value, is_causal=True, enable_gqa=grouped)[:, :, before:]


def _written_out(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Attend by plain matrix products; the queries of a group of heads lie under one another."""
    heads, length, before = key.shape[1], query.shape[2], key.shape[2] - query.shape[2]
    future = torch.full((length, before + length), -torch.inf, dtype=query.dtype).triu(before + 1)
    scores = (query / math.sqrt(query.shape[3])).unflatten(1, (heads, -1)).flatten(2, 3) @ key.transpose(2, 3)
    weights = (scores.unflatten(2, (-1, length)) + future).softmax(dim=4, dtype=query.dtype)
    return (weights.flatten(2, 3) @ value).unflatten(2, (-1, length)).flatten(1, 2)


def packed_attention(
    compute: Compute,
    row_lengths: Sequence[int],
    prefix: int = 0,
    bounds: Tensor | None = None,
    longest: int | None = None,
) -> Attend:
    """Return the `Attend` for a sequence [1, H, N, D] of rows of `row_lengths`, after a shared prefix.

    `bounds` and `longest`, where the caller has them already, are those of `VarlenAttention`. Raises ValueError on a
    prefix where `compute` does not share prefixes.
    """
    if not compute.flash:
        return BlockAttention(row_lengths, compute.device, prefix)
    if prefix:
        raise ValueError("flash attention cannot share a prefix")
    if bounds is None:
        bounds = row_bounds(row_lengths).to(compute.device, non_blocking=True)
    return VarlenAttention(bounds, longest or max(row_lengths))


class BlockAttention:
    """An `Attend` for sequences [1, H, N, D] that hold rows of `row_lengths` one after another, on any device.

    The first `prefix` tokens come before the rows; each row attends to them as to its own first tokens.
    """

    def __init__(self, row_lengths: Sequence[int], device: torch.device, prefix: int = 0) -> None:
        self._prefix = prefix
        classes: dict[int, list[tuple[int, int]]] = defaultdict(list)
        start = prefix
        for length in row_lengths:
            classes[(length - 1).bit_length()].append((start, length))
            start += length
        self._blocks = [_block_indices(rows, device) for _, rows in sorted(classes.items())]

    def __call__(self, layer: int, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Queries [1, H, N, D], keys, values [1, K, N, D] -> the output from each token's own row, [1, H, N, D]."""
        queries, keys, values = (part[0].transpose(0, 1) for part in (query, key, value))
        read = torch.empty_like(queries, memory_format=torch.contiguous_format)
        if self._prefix:
            head = [part[:, :, : self._prefix] for part in (query, key, value)]
            out = causal_attention(layer, *head)[0].transpose(0, 1)
            read = torch.cat([out.to(read.dtype), read[self._prefix :]])
        for gather, packed, within in self._blocks:
            # [rows, width, heads, D] -> [rows, heads, width, D]; padding repeats a token of the row, and is dropped.
            q, k, v = (part[gather].transpose(1, 2) for part in (queries, keys, values))
            if self._prefix:  # expanded, not gathered: its gradient is then one sum over the rows of a block
                k, v = (
                    torch.cat([part.expand(len(q), -1, -1, -1), own], dim=2)
                    for part, own in zip(head[1:], (k, v), strict=True)
                )
            out = causal_attention(layer, q, k, v).transpose(1, 2)
            read = read.index_copy(0, packed, out.reshape(-1, *out.shape[2:])[within].to(read.dtype))
        return read.transpose(0, 1)[None]


class VarlenAttention:
    """An `Attend` through flash attention with row bounds; needs a GPU and a half-precision format.

    `bounds` [rows + 1] int32: where each row of the sequence [1, H, N, D] starts, and N; `longest`: at least the length
    of the longest row.
    """

    def __init__(self, bounds: Tensor, longest: int) -> None:
        self.bounds = bounds
        self.longest = longest

    def __call__(self, _layer: int, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Queries [1, H, N, D], keys, values [1, K, N, D] -> the output from each token's own row, [1, H, N, D]."""
        kernel = flash_kernel()
        options = dict(kernel.causal)
        if query.shape[1] != key.shape[1]:
            if kernel.groups_heads:
                options["enable_gqa"] = True
            else:
                key, value = (part.repeat_interleave(query.shape[1] // key.shape[1], 1) for part in (key, value))
        tokens = (part[0].transpose(0, 1) for part in (query, key, value))  # each [N, heads, D]
        read: Tensor = kernel.attend(*tokens, self.bounds, self.bounds, self.longest, self.longest, **options)
        return read.transpose(0, 1)[None]


def _block_indices(rows: Sequence[tuple[int, int]], device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Index tensors of one block.

    Returns `gather` [rows, width]: which packed token is at each place (padding: the row's last token);
    `packed` [tokens] and `within` [tokens]: for each real token its packed place and its place in the flat block.
    """
    starts = torch.tensor([start for start, _ in rows])[:, None]
    lengths = torch.tensor([length for _, length in rows])[:, None]
    columns = torch.arange(int(lengths.max()))[None]
    gather = starts + torch.minimum(columns, lengths - 1)
    within = (columns < lengths).flatten().nonzero().squeeze(1)
    return gather.to(device), gather.flatten()[within].to(device), within.to(device)
