"""CUDA graphs: work recorded once and replayed without Python or single launches, on tensors whose place is fixed."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

Recorder = Callable[[Callable[[], Tensor]], Callable[[], Tensor]]
"""Turns a function of fixed tensors into one that computes the same again from their present contents."""


class CudaRecorder:
    """Records functions as CUDA graphs that share one pool of memory; each is run twice first, as torch asks for."""

    def __init__(self) -> None:
        self._pool = torch.cuda.graph_pool_handle()

    def __call__(self, function: Callable[[], Tensor]) -> Callable[[], Tensor]:
        """Return a function that replays `function`; its result lies in the graph's own memory until the next call."""
        beside = torch.cuda.Stream()
        beside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(beside):
            for _ in range(2):
                function()
        torch.cuda.current_stream().wait_stream(beside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool):
            result = function()

        def replay() -> Tensor:
            graph.replay()
            return result

        return replay


def refill(fixed: Sequence[Tensor], values: Sequence[Tensor]) -> None:
    """Copy CPU tensors into the fixed ones of a recording, without waiting for a GPU."""
    for target, value in zip(fixed, values, strict=True):
        target.copy_(value.pin_memory() if target.is_cuda else value, non_blocking=True)


def rounded_up(count: int) -> int:
    """Round up to one of four sizes per power of two, at least 16: at most a quarter more, few different sizes."""
    unit = max(16, (1 << (count - 1).bit_length()) >> 3)
    return -(-count // unit) * unit
