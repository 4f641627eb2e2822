"""Which rows make up each optimizer step, and how a step is cut into forward passes."""

from collections.abc import Sequence

import numpy as np

from reprotune.dataset.collate import Batch, TokenRows, pack_rows, pad_rows
from reprotune.dataset.order import steps_of_epoch
from reprotune.params.sections.finetune import FinetuneParams


def epoch_batches(rows: TokenRows, epoch: int, params: FinetuneParams) -> list[np.ndarray]:
    """Row numbers of each optimizer step of an epoch."""
    bucketed = params.batching == "bucketed"
    return steps_of_epoch(rows.input_lengths, epoch, params.seed, params.batch_size, bucketed, params.drop_last)


def steps_per_epoch(rows: int, params: FinetuneParams) -> int:
    """Optimizer steps of one pass over the rows."""
    full, rest = divmod(rows, params.batch_size)
    return full + (1 if rest and not params.drop_last else 0)


def micro_batches(
    rows: TokenRows, chosen: Sequence[int] | np.ndarray, params: FinetuneParams, share_prefix: bool = False
) -> list[Batch]:
    """Cut the rows of one step into forward passes of at most `micro_batch_tokens` positions (at least one row).

    With `share_prefix`, packed rows share the tokens they all start with (`reprotune.dataset.packing`).
    """
    lengths = rows.input_lengths
    if params.batching == "packed":
        parts = _cut(chosen, lengths, params.micro_batch_tokens, padded=False)
        return [pack_rows(rows, part, params.mask_instruction, share_prefix) for part in parts]
    width = int(lengths.max()) if params.batching == "static" else None
    widths = np.full(len(lengths), width) if width else lengths
    parts = _cut(chosen, widths, params.micro_batch_tokens, padded=True)
    return [pad_rows(rows, part, params.mask_instruction, width) for part in parts]


def _cut(chosen: Sequence[int] | np.ndarray, lengths: np.ndarray, budget: int, padded: bool) -> list[list[int]]:
    """Split row numbers, in order, so that no part costs more positions than `budget`."""
    parts: list[list[int]] = []
    cost = longest = 0
    for index in chosen:
        length = int(lengths[index])
        longest = max(longest, length)
        cost = longest * (len(parts[-1]) + 1) if padded and parts else cost + length
        if not parts or cost > budget:
            parts.append([])
            cost = longest = length
        parts[-1].append(int(index))
    return parts
