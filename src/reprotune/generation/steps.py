"""One more token for each active row: the network's predictions, operation by operation or as a CUDA graph."""

from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor

from reprotune.compute.cuda_graphs import CudaRecorder, Recorder, refill, rounded_up
from reprotune.console import note
from reprotune.generation.cache import KeyValueCache
from reprotune.model.network import Network


class TokenStep(Protocol):
    """What decoding needs of a step."""

    def __call__(self, tokens: Sequence[int], positions: Sequence[int]) -> Tensor:
        """Logits [A, V] after the latest tokens [A] of the first A slots, at `positions` [A]; fills the cache."""


def token_step(model: Network, cache: KeyValueCache) -> TokenStep:
    """Return the fastest step for the cache's device."""
    return GraphStep(model, cache) if cache.compute.records_steps else EagerStep(model, cache)


class EagerStep:
    """Operation by operation, on any device."""

    def __init__(self, model: Network, cache: KeyValueCache) -> None:
        self.model = model
        self.cache = cache

    def __call__(self, tokens: Sequence[int], positions: Sequence[int]) -> Tensor:
        """See `TokenStep`."""
        device = self.cache.compute.device
        at = torch.tensor(positions).to(device, non_blocking=True)
        return self.logits(torch.tensor(tokens).to(device, non_blocking=True), at, max(positions) + 1)

    def logits(self, tokens: Tensor, at: Tensor, longest: int) -> Tensor:
        """Logits [A, V] of tokens [A] at positions [A], reading the first `longest` places of the cache."""
        hidden = self.model(tokens[:, None], at[:, None], self.cache.step(at, longest))
        return self.model.logits(hidden[:, 0])


class GraphStep:
    """Recorded once for each of few sizes; slots beyond the active ones compute what is never used.

    Such a slot writes to its place 0, which a new prompt overwrites before it is read.
    """

    def __init__(self, model: Network, cache: KeyValueCache, record: Recorder | None = None) -> None:
        self.eager = EagerStep(model, cache)
        self._record = record or CudaRecorder()
        self._failed = False
        self._recorded: dict[tuple[int, int], tuple[list[Tensor], Callable[[], Tensor]]] = {}

    def __call__(self, tokens: Sequence[int], positions: Sequence[int]) -> Tensor:
        """See `TokenStep`; the result is valid until the next call."""
        keys = self.eager.cache.keys
        active = len(tokens)
        size = min(rounded_up(active), keys.shape[1]), min(rounded_up(max(positions) + 1), keys.shape[3])
        if size not in self._recorded and not self._failed:
            try:
                self._recorded[size] = self._recording(*size)
            except RuntimeError as error:  # slower is better than not at all
                note(f"generate: no CUDA graph ({error}): continuing without")
                self._failed = True
        if self._failed:
            return self.eager(tokens, positions)
        fixed, replay = self._recorded[size]
        idle = [0] * (size[0] - active)
        refill(fixed, [torch.tensor([*tokens, *idle]), torch.tensor([*positions, *idle])])
        return replay()[:active]

    def _recording(self, slots: int, longest: int) -> tuple[list[Tensor], Callable[[], Tensor]]:
        device = self.eager.cache.compute.device
        tokens, at = (torch.zeros(slots, dtype=torch.int64, device=device) for _ in range(2))
        at.fill_(longest - 1)  # the trial runs must not touch what rows have written
        return [tokens, at], self._record(lambda: self.eager.logits(tokens, at, longest))
