"""The loss of each row by itself, of a finished model."""

import numpy as np
import torch
import torch.nn.functional as F

from reprotune.compute.device import Compute
from reprotune.dataset.collate import TokenRows, pad_rows
from reprotune.model.network import Network
from reprotune.training.loss import CHUNK_POSITIONS

ROWS_AT_ONCE = 16


@torch.inference_mode()
def row_losses(model: Network, rows: TokenRows, mask_instruction: bool, compute: Compute) -> np.ndarray:
    """Return the negative log-likelihood of the trained tokens of each row, in nats, summed: [rows] float64.

    Their sum by the number of trained tokens is the validation loss of the training loop, but for rounding.
    """
    found = np.zeros(len(rows))
    by_length = rows.input_lengths.argsort(kind="stable")
    for start in range(0, len(rows), ROWS_AT_ONCE):
        chosen = by_length[start : start + ROWS_AT_ONCE]
        batch = pad_rows(rows, chosen.tolist(), mask_instruction).to(compute.device)
        with compute.autocast():
            hidden = model(batch.input_ids, batch.positions)
        trained = hidden.flatten(0, 1)[batch.trained].to(compute.dtype)
        targets = batch.targets.flatten()[batch.trained]
        row_of = (batch.trained // batch.input_ids.shape[1]).cpu().numpy()
        for chunk in range(0, len(trained), CHUNK_POSITIONS):
            some = slice(chunk, chunk + CHUNK_POSITIONS)
            logits = F.linear(trained[some], model.output_weight.to(trained.dtype)).double()
            losses = F.cross_entropy(logits, targets[some], reduction="none").cpu().numpy()
            np.add.at(found, chosen[row_of[some]], losses)
    return found
