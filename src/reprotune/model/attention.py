"""Causal attention of padded batches, and within each row of a packed sequence, never across rows.

Of a packed sequence the linear layers run over all tokens without any padding; only here rows must be kept apart. On
a GPU flash attention does that itself (`VarlenAttention`). Elsewhere tokens are gathered into small padded blocks
(`BlockAttention`):

    packed   a a a b b c c c c        blocks   a a a .     read causally, each line alone,
                                               b b . .     then scattered back
                                               c c c c

    with a shared prefix (`reprotune.dataset.shared_prefix`), which every line reads before itself:

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
from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention.varlen import varlen_attn

from reprotune.dataset.shared_prefix import shares_prefixes

Attend = Callable[[int, Tensor, Tensor, Tensor], Tensor]
"""(layer index, queries, keys, values), each [B, H, T, D] -> what each position read, [B, H, T, D]."""

SHORT = 512
"""Up to this many tokens a CPU is two to four times faster with bf16 attention written out than with
`scaled_dot_product_attention` (forward and backward; measured at 32 to 1024 tokens, 12 heads of 64)."""


def causal_attention(_layer: int, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Let each position read itself and what stands before it; right enough for batches padded on the right.

    There may be more keys than queries: the queries are then the last positions.
    """
    length, before = query.shape[2], key.shape[2] - query.shape[2]
    if query.device.type == "cpu" and query.dtype == torch.bfloat16 and length <= SHORT:
        future = torch.full((length, before + length), -torch.inf, dtype=query.dtype).triu(before + 1)
        scores = (query / math.sqrt(query.shape[3])) @ key.transpose(2, 3) + future
        return scores.softmax(dim=3, dtype=query.dtype) @ value
    if before:  # queries that nobody reads: the causal kernel skips the future, which a mask would only hide
        query = F.pad(query, (0, 0, before, 0))
    return F.scaled_dot_product_attention(query, key, value, is_causal=True)[:, :, before:]


def packed_attention(row_lengths: Sequence[int], device: torch.device, dtype: torch.dtype, prefix: int = 0) -> Attend:
    """Return the fastest `Attend` for a sequence [1, H, N, D] of rows of `row_lengths`, products in `dtype`.

    `prefix` tokens before the rows belong to each of them; only where `shares_prefixes` says so.
    """
    if shares_prefixes(device, dtype):
        return BlockAttention(row_lengths, device, prefix)
    if prefix:
        raise ValueError("flash attention reads no shared prefix")
    return VarlenAttention.of_rows(row_lengths, device)


class BlockAttention:
    """An `Attend` for sequences [1, H, N, D] that hold rows of `row_lengths` one after another, on any device.

    The first `prefix` tokens stand before the rows and are read by each of them as its own beginning.
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
        """Queries, keys, values [1, H, N, D] -> what each token read of its own row, [1, H, N, D]."""
        queries, keys, values = (part[0].transpose(0, 1) for part in (query, key, value))
        read = torch.empty_like(queries, memory_format=torch.contiguous_format)
        if self._prefix:
            head = [part[:, :, : self._prefix] for part in (query, key, value)]
            out = causal_attention(layer, *head)[0].transpose(0, 1)
            read = torch.cat([out.to(read.dtype), read[self._prefix :]])
        for gather, packed, within in self._blocks:
            # [rows, width, H, D] -> [rows, H, width, D]; padding repeats a token of the row and is never read back.
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
    """An `Attend` through flash attention with row boundaries; needs a GPU and a half-precision format.

    `bounds` [rows + 1] int32: where each row of the sequence [1, H, N, D] starts, and N; `longest`: at least the length
    of the longest row.
    """

    def __init__(self, bounds: Tensor, longest: int, kernel: Callable[..., Any] = varlen_attn) -> None:
        self.bounds = bounds
        self.longest = longest
        self._kernel = kernel

    @classmethod
    def of_rows(
        cls, row_lengths: Sequence[int], device: torch.device, kernel: Callable[..., Any] = varlen_attn
    ) -> Self:
        """Build for rows of `row_lengths` one after another."""
        bounds = torch.tensor([0, *row_lengths]).cumsum(0, dtype=torch.int32)
        return cls(bounds.to(device, non_blocking=True), max(row_lengths), kernel)

    def __call__(self, _layer: int, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Queries, keys, values [1, H, N, D] -> what each token read of its own row, [1, H, N, D]."""
        tokens = (part[0].transpose(0, 1) for part in (query, key, value))  # each [N, H, D]
        read: Tensor = self._kernel(*tokens, self.bounds, self.bounds, self.longest, self.longest, **CAUSAL)
        return read.transpose(0, 1)[None]


def _causal_option(kernel: Callable[..., Any]) -> dict[str, Any]:
    """How this torch's kernel is told to look back only: by `window_size`, in its first release by `is_causal`."""
    return {"is_causal": True} if "is_causal" in inspect.signature(kernel).parameters else {"window_size": (-1, 0)}


CAUSAL = _causal_option(varlen_attn)


def _block_indices(rows: Sequence[tuple[int, int]], device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Index tensors of one block.

    Returns `gather` [rows, width]: which packed token stands at each place (padding: the row's last token);
    `packed` [tokens] and `within` [tokens]: for each real token its packed place and its place in the flat block.
    """
    starts = torch.tensor([start for start, _ in rows])[:, None]
    lengths = torch.tensor([length for _, length in rows])[:, None]
    columns = torch.arange(int(lengths.max()))[None]
    gather = starts + torch.minimum(columns, lengths - 1)
    within = (columns < lengths).flatten().nonzero().squeeze(1)
    return gather.to(device), gather.flatten()[within].to(device), within.to(device)
