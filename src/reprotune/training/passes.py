"""One micro-batch forward and backward, its gradients added to those of the step.

`EagerPass` runs it operation by operation. A small batch leaves a GPU waiting for Python between thousands of small
kernels; `GraphPass` records the whole pass once per shape as a CUDA graph and replays it. For that, batches are padded
to few shapes, in ways that change nothing: rows that nobody learns from, trained positions that do not
count, row bounds that repeat the last one.

    tokens     a a a b b . . .       the dots are a row of their own
    bounds     0 3 5 8 8 8           and the last two rows are empty
    counted    1 1 1 1 0 0           of the trained positions
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention.varlen import varlen_attn

from reprotune.compute.cuda_graphs import CudaRecorder, Recorder, refill, rounded_up
from reprotune.console import note
from reprotune.dataset.collate import Batch
from reprotune.dataset.shared_prefix import shares_prefixes
from reprotune.model.attention import VarlenAttention
from reprotune.model.gpt2 import GPT2
from reprotune.training.loss import batch_loss, linear_cross_entropy

GRAPH_TOKENS = 8192
"""Larger passes keep a GPU busy without a graph, whose memory would be held once per shape."""


def training_pass(model: GPT2, dtype: torch.dtype, batching: str) -> "TrainingPass":
    """Return the fastest pass for the model's device."""
    if batching == "packed" and not shares_prefixes(model.wte.weight.device, dtype):
        return GraphPass(model, dtype)
    return EagerPass(model, dtype)


class TrainingPass(Protocol):
    """What the training loop needs of a pass."""

    keeps_gradients: bool
    """Whether gradients must be zeroed in place between steps, since a recording holds on to their memory."""

    def __call__(self, batch: Batch, step_tokens: int) -> Tensor:
        """Add the gradients of the batch's summed loss divided by `step_tokens`; returns that share of the loss."""


class EagerPass:
    """Operation by operation, on any device."""

    keeps_gradients = False

    def __init__(self, model: GPT2, dtype: torch.dtype) -> None:
        self.model = model
        self.dtype = dtype

    def __call__(self, batch: Batch, step_tokens: int) -> Tensor:
        """See `TrainingPass`."""
        device = self.model.wte.weight.device
        loss = batch_loss(self.model, batch.to(device), self.dtype) / max(step_tokens, 1)
        loss.backward()
        return loss.detach()


@dataclass(frozen=True)
class PassShape:
    """Sizes that a recording is bound to; every packed batch that fits can be padded to them."""

    tokens: int
    trained: int
    rows: int
    longest: int

    @classmethod
    def covering(cls, batch: Batch, row_lengths: Sequence[int]) -> Self:
        """Return the smallest of few shapes that hold a packed batch."""
        tokens = rounded_up(batch.input_ids.numel())
        longest = 1 << max(max(row_lengths) - 1, 63).bit_length()
        padding_rows = -(-(tokens - batch.input_ids.numel()) // longest)
        rows = rounded_up(len(row_lengths) + padding_rows)
        return cls(tokens, rounded_up(len(batch.trained)), rows, longest)


@dataclass(frozen=True)
class PassInputs:
    """The tensors of a padded batch; N tokens, M trained positions, R rows."""

    input_ids: Tensor
    """[1, N]"""
    positions: Tensor
    """[1, N]"""
    bounds: Tensor
    """[R + 1] int32, where rows start and end."""
    trained: Tensor
    """[M] indices into N."""
    targets: Tensor
    """[M] token ids."""
    counted: Tensor
    """[M] 1, or 0 for a padding position."""
    scale: Tensor
    """Scalar float32, what the summed loss is multiplied with."""

    @classmethod
    def padded(cls, batch: Batch, row_lengths: Sequence[int], shape: PassShape, step_tokens: int) -> Self:
        """Pad a packed batch on the CPU to `shape`."""
        used = batch.input_ids.numel()
        ends = [used, *range(used + shape.longest, shape.tokens, shape.longest), shape.tokens]
        bounds = torch.tensor([0, *row_lengths[:-1]]).cumsum(0)
        bounds = torch.cat([bounds, torch.tensor(ends), torch.full((shape.rows,), shape.tokens)])[: shape.rows + 1]
        unused = shape.trained - len(batch.trained)
        return cls(
            F.pad(batch.input_ids, (0, shape.tokens - used)),
            F.pad(batch.positions, (0, shape.tokens - used)),
            bounds.to(torch.int32),
            F.pad(batch.trained, (0, unused)),
            F.pad(batch.targets.flatten()[batch.trained], (0, unused)),
            F.pad(batch.counted, (0, unused)),
            torch.tensor(1 / max(step_tokens, 1)),
        )

    def tensors(self) -> list[Tensor]:
        """All of them, in a fixed order."""
        return [self.input_ids, self.positions, self.bounds, self.trained, self.targets, self.counted, self.scale]


class GraphPass:
    """Recorded once per shape, then replayed; for packed batches in bfloat16 on a GPU."""

    keeps_gradients = True

    def __init__(
        self, model: GPT2, dtype: torch.dtype, record: Recorder | None = None, kernel: Callable[..., Any] = varlen_attn
    ) -> None:
        self.model = model
        self.dtype = dtype
        self._eager = EagerPass(model, dtype)
        self._record = record or CudaRecorder()
        self._kernel = kernel
        self._failed = False
        self._recorded: dict[PassShape, tuple[PassInputs, Callable[[], Tensor]]] = {}

    def __call__(self, batch: Batch, step_tokens: int) -> Tensor:
        """See `TrainingPass`."""
        if batch.row_lengths is None or batch.prefix or batch.input_ids.numel() > GRAPH_TOKENS or self._failed:
            return self._eager(batch, step_tokens)
        shape = PassShape.covering(batch, batch.row_lengths)
        inputs = PassInputs.padded(batch, batch.row_lengths, shape, step_tokens)
        if shape not in self._recorded:
            try:
                self._recorded[shape] = self._recording(inputs, shape.longest)
            except RuntimeError as error:  # slower is better than not at all
                note(f"finetune: no CUDA graph ({error}): going on without")
                self._failed = True
                return self._eager(batch, step_tokens)
        fixed, replay = self._recorded[shape]
        refill(fixed.tensors(), inputs.tensors())
        return replay().clone()

    def _recording(self, inputs: PassInputs, longest: int) -> tuple[PassInputs, Callable[[], Tensor]]:
        device = self.model.wte.weight.device
        fixed = PassInputs(*(tensor.to(device, copy=True) for tensor in inputs.tensors()))
        fixed.scale.zero_()  # so that the trial runs before the recording add nothing to the gradients
        return fixed, self._record(lambda: self._forward_and_backward(fixed, longest))

    def _forward_and_backward(self, inputs: PassInputs, longest: int) -> Tensor:
        attend = VarlenAttention(inputs.bounds, longest, self._kernel)
        with torch.autocast(inputs.input_ids.device.type, dtype=self.dtype, enabled=self.dtype != torch.float32):
            hidden = self.model(inputs.input_ids, inputs.positions, attend)
        trained = hidden[0, inputs.trained].to(self.dtype)
        loss = linear_cross_entropy(trained, self.model.wte.weight, inputs.targets, inputs.counted) * inputs.scale
        loss.backward()
        return loss.detach()
