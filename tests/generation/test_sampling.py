"""Filtered distributions against transformers' own, and draws against probabilities."""

import pytest
import torch
from transformers.generation.logits_process import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

from reprotune.generation.sampling import draw_tokens, filtered_probabilities, uniform_draws


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
@pytest.mark.parametrize("top_k", [None, 1, 10, 500])
@pytest.mark.parametrize("top_p", [None, 1e-6, 0.5, 0.95, 1.0])
def test_filters_equal_those_of_transformers(temperature: float, top_k: int | None, top_p: float | None) -> None:
    logits = torch.randn(40, 200, generator=torch.Generator().manual_seed(0)) * 3
    expected = TemperatureLogitsWarper(temperature)(None, logits)
    if top_k is not None:
        expected = TopKLogitsWarper(top_k)(None, expected)
    if top_p is not None:
        expected = TopPLogitsWarper(top_p)(None, expected)
    ours = filtered_probabilities(logits, temperature, top_k, top_p)
    torch.testing.assert_close(ours, expected.softmax(dim=1), atol=1e-6, rtol=1e-4)


def test_draws_follow_the_probabilities() -> None:
    probabilities = torch.tensor([[0.0, 0.2, 0.0, 0.5, 0.3, 0.0]])
    draws = torch.arange(1000, dtype=torch.float64) / 1000
    tokens = draw_tokens(probabilities.expand(1000, 6), draws)
    counts = torch.bincount(tokens, minlength=6)
    assert (counts - probabilities[0] * 1000).abs().max() <= 1
    assert counts[probabilities[0] == 0].sum() == 0


def test_largest_draw_stays_inside() -> None:
    probabilities = torch.rand(50, 1000, generator=torch.Generator().manual_seed(0))
    probabilities[:, 900:] = 0
    almost_one = torch.full((50,), 1 - 2**-53, dtype=torch.float64)
    assert draw_tokens(probabilities, almost_one).max() < 900


def test_rows_have_streams_of_their_own() -> None:
    assert torch.equal(uniform_draws(1, "a", 5), uniform_draws(1, "a", 5))
    assert not torch.equal(uniform_draws(1, "a", 5), uniform_draws(1, "b", 5))
    assert not torch.equal(uniform_draws(1, "a", 5), uniform_draws(2, "a", 5))
