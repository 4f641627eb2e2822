"""The tokens that all rows of a pass begin with: computed once, read by every row.

Instruction rows open with the same words ("Below is an instruction that describes a task. ..."). What a causal network
makes of a row's first tokens does not depend on what follows, so one computation of a shared beginning serves all
rows, and in training its gradient is the sum over the rows that read it: the same loss and gradients for less work.

    rows     p p p a a a          packed with the prefix shared     p p p | a a a | b b
             p p p b b            positions                         0 1 2 | 3 4 5 | 3 4

The idea is known from serving (prefix caching; Hydragen, arXiv 2402.05099) and from preference training
(arXiv 2410.20305).
"""

from collections.abc import Sequence

import numpy as np
import torch

LEAST_SHARED = 8
"""A shorter prefix spares less than keeping it apart costs."""


def shared_prefix(rows: Sequence[Sequence[int] | np.ndarray]) -> int:
    """Return how many tokens all rows begin with, leaving each row at least one of its own; 0 where too few to pay."""
    shortest = min(len(row) for row in rows)
    heads = np.stack([np.asarray(row[:shortest]) for row in rows])
    differing = np.flatnonzero((heads != heads[0]).any(axis=0))
    common = min(int(differing[0]) if len(differing) else shortest, shortest - 1)
    return common if len(rows) > 1 and common >= LEAST_SHARED else 0


def shares_prefixes(device: torch.device, dtype: torch.dtype) -> bool:
    """Say whether packed passes may share a prefix: not through flash attention, whose rows bring keys of their own."""
    return device.type != "cuda" or dtype == torch.float32
