"""Small GPT-2s of transformers, the oracle, in the shapes of the four published sizes."""

import pytest
import torch
from transformers import GPT2Config as HubConfig
from transformers import GPT2LMHeadModel

# Layers and heads of gpt2, gpt2-medium, gpt2-large and gpt2-xl; only the width is scaled down, to 4 a head.
SHAPES = {"gpt2": (12, 12), "gpt2-medium": (24, 16), "gpt2-large": (36, 20), "gpt2-xl": (48, 25)}


@pytest.fixture(params=SHAPES)
def hub_model(request: pytest.FixtureRequest) -> GPT2LMHeadModel:
    """A random GPT-2 of transformers in one size's shape."""
    layers, heads = SHAPES[request.param]
    return make_hub_model(layers, heads, width=4 * heads)


@pytest.fixture
def small_hub_model() -> GPT2LMHeadModel:
    """A random two-layer GPT-2 of transformers."""
    return make_hub_model(layers=2, heads=2, width=8)


def make_hub_model(layers: int, heads: int, width: int) -> GPT2LMHeadModel:
    torch.manual_seed(0)
    config = HubConfig(n_layer=layers, n_head=heads, n_embd=width, n_positions=48, vocab_size=211)
    model = GPT2LMHeadModel(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():  # biases and norms too, so that none is its default by chance
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return model
