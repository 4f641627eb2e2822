"""CUDA graphs: work recorded once, then replayed without Python or single kernel launches, on tensors that stay put."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

Recorder = Callable[[Callable[[], Tensor]], Callable[[], Tensor]]
"""Turns a function of fixed tensors into one that computes the same again from their current contents."""


class CudaRecorder:
    """Records functions as CUDA graphs that share one memory pool; each runs twice first, as torch requires."""

    def __init__(self) -> None:
        self._pool = torch.cuda.graph_pool_handle()

    def __call__(self, function: Callable[[], Tensor]) -> Callable[[], Tensor]:
        """Return a function that replays `function`; its result stays in the graph's own memory until the next call."""
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(2):
                function()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool):
            result = function()

        def replay() -> Tensor:
            graph.replay()
            return result

        return replay


def refill(fixed: Sequence[Tensor], values: Sequence[Tensor]) -> None:
    """Copy CPU tensors into the fixed ones of a recording without waiting for the GPU."""
    for target, value in zip(fixed, values, strict=True):
        target.copy_(value.pin_memory() if target.is_cuda else value, non_blocking=True)


def rounded_up(count: int) -> int:
    """Round up to one of four sizes per power of two, at least 16: few different sizes, at most a quarter too large."""
    unit = max(16, (1 << (count - 1).bit_length()) >> 3)
    return -(-count // unit) * unit
