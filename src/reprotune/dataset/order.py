"""Which rows make up each optimizer step: a pure function of (seed, epoch).

Resuming, evaluating or sampling in between can never shift it.
"""

import numpy as np
import torch

BUCKET_BATCHES = 32
"""Rows are sorted by length within this many batches' worth of shuffled ones: similar lengths, still random order."""


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


def steps_of_epoch(
    lengths: np.ndarray, epoch: int, seed: int, batch_size: int, bucketed: bool, drop_last: bool
) -> list[np.ndarray]:
    """Row numbers of each optimizer step of an epoch; `lengths` [rows] are those that `bucketed` sorts by."""
    order = epoch_order(seed, epoch, len(lengths))
    if bucketed:
        order = _sorted_in_windows(order, lengths, BUCKET_BATCHES * batch_size)
    stop = len(order) - len(order) % batch_size if drop_last else len(order)
    batches = [order[start : start + batch_size] for start in range(0, stop, batch_size)]
    if bucketed:
        # Sorted batches would run from short to long within each window; shuffle them.
        mixed = torch.randperm(len(batches), generator=torch.Generator().manual_seed(seed + epoch))
        batches = [batches[index] for index in mixed]
    return batches


def _sorted_in_windows(order: np.ndarray, lengths: np.ndarray, window: int) -> np.ndarray:
    windows = [order[start : start + window] for start in range(0, len(order), window)]
    return np.concatenate([part[np.argsort(lengths[part], kind="stable")] for part in windows])
