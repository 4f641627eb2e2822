"""Causal attention within each row of a packed sequence, never across rows.

The linear layers of the network run over the packed tokens without any padding; only here, where rows must be kept
apart, tokens are gathered into small padded blocks:

    packed   a a a b b c c c c        blocks   a a a .     read causally, each line alone,
                                               b b . .     then scattered back
                                               c c c c

Rows are grouped by the power of two above their length, so that padding inside attention stays below one half and one
long row does not widen all others.
"""

from collections import defaultdict
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


class PackedAttention:
    """An `Attend` for sequences [1, H, N, D] that hold rows of `row_lengths` one after another."""

    def __init__(self, row_lengths: Sequence[int], device: torch.device) -> None:
        classes: dict[int, list[tuple[int, int]]] = defaultdict(list)
        start = 0
        for length in row_lengths:
            classes[(length - 1).bit_length()].append((start, length))
            start += length
        self._blocks = [_block_indices(rows, device) for _, rows in sorted(classes.items())]

    def __call__(self, _layer: int, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Queries, keys, values [1, H, N, D] -> what each token read of its own row, [1, H, N, D]."""
        queries, keys, values = (part[0].transpose(0, 1) for part in (query, key, value))
        read = torch.empty_like(queries, memory_format=torch.contiguous_format)
        for gather, packed, within in self._blocks:
            # [rows, width, H, D] -> [rows, H, width, D]; padding repeats a token of the row and is never read back.
            q, k, v = (part[gather].transpose(1, 2) for part in (queries, keys, values))
            out = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2)
            read = read.index_copy(0, packed, out.reshape(-1, *out.shape[2:])[within].to(read.dtype))
        return read.transpose(0, 1)[None]


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
