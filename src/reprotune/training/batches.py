"""Which rows make up each optimizer step, and how a step is cut into forward passes.

The order is a pure function of (seed, epoch): resuming, evaluating or sampling can never shift it.
"""

from collections.abc import Sequence

import numpy as np
import torch

from reprotune.dataset.collate import Batch, TokenRows, pack_rows, pad_rows
from reprotune.params.sections.finetune import FinetuneParams

BUCKET_BATCHES = 32
"""`bucketed` sorts this many batches' worth of shuffled rows by length: similar lengths, still random order."""


def epoch_order(seed: int, epoch: int, rows: int) -> np.ndarray:
    """Permutation of `rows` for an epoch (0-based).

    The same order as `DataLoader(shuffle=True)` gives after `torch.manual_seed(seed)`, so that the chapter's batches
    can be reproduced exactly: each pass draws a seed for workers (unused here) and one for its permutation.
    """
    generator = torch.Generator().manual_seed(seed)
    for _ in range(epoch + 1):
        torch.empty((), dtype=torch.int64).random_(generator=generator)
        permutation_seed = int(torch.empty((), dtype=torch.int64).random_(generator=generator))
    return torch.randperm(rows, generator=torch.Generator().manual_seed(permutation_seed)).numpy()


def epoch_batches(rows: TokenRows, epoch: int, params: FinetuneParams) -> list[np.ndarray]:
    """Row numbers of each optimizer step of an epoch."""
    order = epoch_order(params.seed, epoch, len(rows))
    if params.batching == "bucketed":
        order = _sorted_in_windows(order, rows.input_lengths, BUCKET_BATCHES * params.batch_size)
    stop = len(order) - len(order) % params.batch_size if params.drop_last else len(order)
    batches = [order[start : start + params.batch_size] for start in range(0, stop, params.batch_size)]
    if params.batching == "bucketed":
        # Sorted batches would run from short to long within each window; shuffle them.
        mixed = torch.randperm(len(batches), generator=torch.Generator().manual_seed(params.seed + epoch))
        batches = [batches[index] for index in mixed]
    return batches


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


def _sorted_in_windows(order: np.ndarray, lengths: np.ndarray, window: int) -> np.ndarray:
    windows = [order[start : start + window] for start in range(0, len(order), window)]
    return np.concatenate([part[np.argsort(lengths[part], kind="stable")] for part in windows])
