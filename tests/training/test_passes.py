"""Padded, recorded passes against eager ones; a recording is played here by calling the function again."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from reprotune.compute.device import Compute
from reprotune.dataset.collate import IGNORED, TokenRows, pack_rows
from reprotune.model import attention
from reprotune.model.attention import BlockAttention, FlashKernel
from reprotune.model.network import Network
from reprotune.training import passes
from reprotune.training.passes import EagerPass, GraphPass, PassShape, training_pass

MakeRows = Callable[..., TokenRows]
MakeModel = Callable[..., Network]


CPU = Compute(torch.device("cpu"), torch.float32)


class FlashCompute(Compute):
    """A CPU that goes the ways of a GPU; `kernel` stands in for flash attention."""

    flash = True


FLASH = FlashCompute(CPU.device, CPU.dtype)


class FakeRecorder:
    """Runs the function at once, as a real recording does, and again at each replay."""

    def __init__(self) -> None:
        self.recorded = 0

    def __call__(self, function: Callable[[], Tensor]) -> Callable[[], Tensor]:
        self.recorded += 1
        function()
        return function


def kernel(query: Tensor, key: Tensor, value: Tensor, bounds: Tensor, *_: object, **__: object) -> Tensor:
    lengths = [length for length in bounds.diff().tolist() if length]
    heads = (part.transpose(0, 1)[None] for part in (query, key, value))
    return BlockAttention(lengths, torch.device("cpu"))(0, *heads)[0].transpose(0, 1)


@pytest.fixture(autouse=True)
def flash_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention, "flash_kernel", lambda: FlashKernel(kernel, {}, True))


def gradients(model: Network) -> dict[str, Tensor]:
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("mask_instruction", [False, True])
def test_a_recorded_pass_adds_what_an_eager_one_adds(
    mask_instruction: bool, make_rows: MakeRows, make_model: MakeModel
) -> None:
    """Several batches accumulate; those of one shape share a recording."""
    rows, recorder = make_rows(80), FakeRecorder()
    eager_model, graph_model = make_model(), make_model()
    eager = EagerPass(eager_model, CPU)
    graph = GraphPass(graph_model, FLASH, recorder)
    for start in range(0, 80, 8):
        batch = pack_rows(rows, range(start, start + 8), mask_instruction)
        torch.testing.assert_close(graph(batch, 100), eager(batch, 100))
    expected = gradients(eager_model)
    for name, grad in gradients(graph_model).items():
        torch.testing.assert_close(grad, expected[name], rtol=1e-4, atol=1e-6)
    assert 1 <= recorder.recorded < 10


def test_large_and_padded_batches_go_eagerly(
    make_rows: MakeRows, make_model: MakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passes, "GRAPH_TOKENS", 50)
    recorder = FakeRecorder()
    graph = GraphPass(make_model(), CPU, recorder)
    graph(pack_rows(make_rows(8), range(8), False), 100)
    assert recorder.recorded == 0


def test_batches_with_a_shared_prefix_go_eagerly(make_rows: MakeRows, make_model: MakeModel) -> None:
    recorder = FakeRecorder()
    graph = GraphPass(make_model(), CPU, recorder)
    batch = pack_rows(make_rows(8), range(8), False, share_prefix=True)
    assert batch.prefix > 0
    assert graph(batch, 100) == EagerPass(make_model(), CPU)(batch, 100)
    assert recorder.recorded == 0


def test_a_failed_recording_is_told_and_survived(
    make_rows: MakeRows, make_model: MakeModel, capsys: pytest.CaptureFixture[str]
) -> None:
    def failing(function: Callable[[], Tensor]) -> Callable[[], Tensor]:
        raise RuntimeError("operation not permitted when stream is capturing")

    batch = pack_rows(make_rows(4), range(4), False)
    graph = GraphPass(make_model(), CPU, failing)
    expected = EagerPass(make_model(), CPU)(batch, 10)
    assert [graph(batch, 10).item() for _ in range(2)] == [expected.item()] * 2
    assert capsys.readouterr().err.count("continuing without") == 1


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.lists(st.integers(1, 300), min_size=1, max_size=40))
def test_bounds_cover_every_token_once_and_shapes_are_few(lengths: list[int]) -> None:
    rows = TokenRows.from_lists([([1], [2] * length) for length in lengths])
    batch = pack_rows(rows, range(len(lengths)), False)
    shape = PassShape.covering(batch)
    inputs = batch.padded(*shape)
    assert inputs.bounds is not None
    sizes = inputs.bounds.diff()
    assert inputs.bounds[0] == 0 and inputs.bounds[-1] == shape.positions == inputs.input_ids.numel()
    assert (inputs.targets.flatten()[inputs.trained] != IGNORED).all()
    assert sizes[: len(lengths)].tolist() == lengths
    assert sizes.min() >= 0 and sizes.max() <= shape.longest
    assert len(inputs.bounds) == shape.rows + 1
    assert inputs.counted.sum() == len(batch.trained) and len(inputs.counted) == shape.trained
    assert sum(lengths) <= shape.positions < 16 + 1.25 * sum(lengths)


def test_only_a_gpu_in_bfloat16_records(make_model: MakeModel) -> None:
    assert isinstance(training_pass(make_model(), Compute(CPU.device, torch.bfloat16), "packed"), EagerPass)
