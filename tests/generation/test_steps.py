"""Recorded token steps against eager ones; a recording is played here by calling the function again."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from reprotune.compute.device import Compute
from reprotune.generation import slots
from reprotune.generation.cache import KeyValueCache
from reprotune.generation.decoding import DecodingSettings, generate
from reprotune.generation.steps import EagerStep, GraphStep, token_step
from reprotune.model.network import Network

CPU = Compute(torch.device("cpu"), torch.float32)


def played(function: Callable[[], Tensor]) -> Callable[[], Tensor]:
    """A recorder without a GPU: runs the function twice, as a real one does, and again at each replay."""
    function()
    function()
    return function


@pytest.mark.parametrize("batch_size", [1, 7, 40])
def test_answers_are_those_of_eager_steps(model: Network, batch_size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Slots that come and go, idle slots and sizes that grow change no token."""
    generator = torch.Generator().manual_seed(0)
    lengths = torch.randint(1, 30, (60,), generator=generator).tolist()
    prompts = [torch.randint(0, 60, (length,), generator=generator).tolist() for length in lengths]
    how = DecodingSettings(max_new_tokens=20, batch_size=batch_size, end_of_text=(3,), temperature=1)
    expected = generate(model, prompts, how)
    assert len({len(answer.token_ids) for answer in expected}) > 2, "rows should end at different times"
    steps: list[GraphStep] = []

    def recorded(model: Network, cache: KeyValueCache) -> GraphStep:
        steps.append(GraphStep(model, cache, played))
        return steps[0]

    monkeypatch.setattr(slots, "token_step", recorded)
    assert generate(model, prompts, how) == expected
    assert 1 <= len(steps[0]._recorded) <= 9


def test_a_failed_recording_is_told_and_survived(model: Network, capsys: pytest.CaptureFixture[str]) -> None:
    def failing(function: Callable[[], Tensor]) -> Callable[[], Tensor]:
        raise RuntimeError("operation not permitted when stream is capturing")

    def fresh_cache() -> KeyValueCache:
        return KeyValueCache(model.config, 4, 20, CPU)

    with torch.inference_mode():
        graph, eager = GraphStep(model, fresh_cache(), failing), EagerStep(model, fresh_cache())
        for position in range(3):
            assert torch.equal(graph([5, 6], [position] * 2), eager([5, 6], [position] * 2))
    assert capsys.readouterr().err.count("continuing without") == 1


def test_a_cpu_steps_eagerly(model: Network) -> None:
    cache = KeyValueCache(model.config, 4, 20, CPU)
    assert isinstance(token_step(model, cache), EagerStep)
