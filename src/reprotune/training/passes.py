"""Forward and backward of one micro-batch, its gradients added to those of the step.

`EagerPass` runs operation by operation. With small batches that leaves a GPU waiting for Python between thousands of
small kernels; `GraphPass` records the whole pass once per shape as a CUDA graph and replays it, with batches padded to
few shapes (`Batch.padded`).
"""

from collections.abc import Callable
from typing import NamedTuple, Protocol, Self

import torch
from torch import Tensor

from reprotune.compute.cuda_graphs import CudaRecorder, Recorder, refill, rounded_up
from reprotune.compute.device import Compute
from reprotune.console import note
from reprotune.dataset.collate import Batch
from reprotune.model.network import Network
from reprotune.training.loss import batch_loss

GRAPH_TOKENS = 8192
"""Larger passes keep a GPU busy without a graph, whose memory would be held once per shape."""


class TrainingPass(Protocol):
    """What the training loop needs of a pass."""

    keeps_gradients: bool
    """Whether gradients must be zeroed in place between steps, since a recording holds on to their memory."""

    def __call__(self, batch: Batch, step_tokens: int) -> Tensor:
        """Add the gradients of the batch's summed loss divided by `step_tokens`; returns that share of the loss."""


def training_pass(model: Network, compute: Compute, batching: str) -> TrainingPass:
    """Return the fastest pass for a layout of batches."""
    return GraphPass(model, compute) if compute.records_passes(batching) else EagerPass(model, compute)


def forward_backward(model: Network, batch: Batch, compute: Compute, step_tokens: int | Tensor) -> Tensor:
    """Add the gradients of the batch's summed loss divided by `step_tokens`; returns that share of the loss."""
    loss = batch_loss(model, batch, compute) / step_tokens
    loss.backward()
    return loss.detach()


class EagerPass:
    """Operation by operation, on any device."""

    keeps_gradients = False

    def __init__(self, model: Network, compute: Compute) -> None:
        self.model = model
        self.compute = compute

    def __call__(self, batch: Batch, step_tokens: int) -> Tensor:
        """See `TrainingPass`."""
        return forward_backward(self.model, batch.to(self.compute.device), self.compute, max(step_tokens, 1))


class PassShape(NamedTuple):
    """Sizes that a recording is bound to; every packed batch that fits can be padded to them."""

    positions: int
    trained: int
    rows: int
    longest: int

    @classmethod
    def covering(cls, batch: Batch) -> Self:
        """Return the smallest of few shapes that hold a packed batch."""
        used = batch.input_ids.numel()
        positions = rounded_up(used)
        longest = 1 << max(batch.longest - 1, 63).bit_length()
        padding_rows = -(-(positions - used) // longest)
        rows = rounded_up(len(batch.row_lengths or ()) + padding_rows)
        return cls(positions, rounded_up(len(batch.trained)), rows, longest)


class Recording(NamedTuple):
    """A recorded pass and the tensors that it reads."""

    batch: Batch
    step_tokens: Tensor
    replay: Callable[[], Tensor]


class GraphPass:
    """Recorded once per shape, then replayed; for packed batches through flash attention."""

    keeps_gradients = True

    def __init__(self, model: Network, compute: Compute, record: Recorder | None = None) -> None:
        self.model = model
        self.compute = compute
        self._eager = EagerPass(model, compute)
        self._record = record or CudaRecorder()
        self._failed = False
        self._recorded: dict[PassShape, Recording] = {}

    def __call__(self, batch: Batch, step_tokens: int) -> Tensor:
        """See `TrainingPass`."""
        if batch.bounds is None or batch.input_ids.numel() > GRAPH_TOKENS or self._failed:
            return self._eager(batch, step_tokens)
        shape = PassShape.covering(batch)
        padded = batch.padded(*shape)
        if shape not in self._recorded:
            try:
                self._recorded[shape] = self._recording(padded)
            except RuntimeError as error:  # slower is better than not at all
                note(f"finetune: no CUDA graph ({error}): continuing without")
                self._failed = True
                return self._eager(batch, step_tokens)
        fixed, divisor, replay = self._recorded[shape]
        new_values = [*padded.tensors.values(), torch.tensor(float(max(step_tokens, 1)))]
        refill([*fixed.tensors.values(), divisor], new_values)
        return replay().clone()

    def _recording(self, padded: Batch) -> Recording:
        fixed = padded.to(self.compute.device, copy=True)
        # The trial runs before the recording must add nothing to the gradients.
        divisor = torch.tensor(torch.inf, device=self.compute.device)
        return Recording(
            fixed, divisor, self._record(lambda: forward_backward(self.model, fixed, self.compute, divisor))
        )
