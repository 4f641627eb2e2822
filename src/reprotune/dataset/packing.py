"""Rows laid one after another in a single sequence: their bounds and positions, and the prefix that they may share.

Instruction rows open with the same words ("Below is an instruction that describes a task. ..."). What a causal network
computes for a row's first tokens does not depend on what follows, so one computation serves all rows, and in training
its gradient is the sum over the rows that read it: the same loss and gradients for less work.

    rows     p p p a a a          packed          p p p a a a | p p p b b         bounds  0 6 11
             p p p b b            positions       0 1 2 3 4 5 | 0 1 2 3 4

                                  prefix shared   p p p | a a a | b b
                                  positions       0 1 2 | 3 4 5 | 3 4

Known from serving (prefix caching; Hydragen, arXiv 2402.05099) and from preference training (arXiv 2410.20305).
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

LEAST_SHARED = 8
"""A shorter prefix saves less than it costs to keep apart."""


def shared_prefix(rows: Sequence[Sequence[int] | np.ndarray]) -> int:
    """Return how many tokens all rows start with, leaving each row at least one of its own; 0 if too few to pay off."""
    shortest = min(len(row) for row in rows)
    heads = np.stack([np.asarray(row[:shortest]) for row in rows])
    differing = np.flatnonzero((heads != heads[0]).any(axis=0))
    common = min(int(differing[0]) if len(differing) else shortest, shortest - 1)
    return common if len(rows) > 1 and common >= LEAST_SHARED else 0


def row_bounds(row_lengths: Sequence[int]) -> Tensor:
    """Return where each row starts and where the last one ends, [rows + 1] int32."""
    return torch.tensor([0, *row_lengths]).cumsum(0, dtype=torch.int32)


def packed_positions(row_lengths: Sequence[int], first: int = 0) -> Tensor:
    """Return each token's place in its own row, [tokens] int64; rows start at position `first`."""
    lengths = torch.tensor(row_lengths)
    starts = lengths.cumsum(0) - lengths
    return torch.arange(int(lengths.sum())) - starts.repeat_interleave(lengths) + first
