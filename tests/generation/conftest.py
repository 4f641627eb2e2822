"""A small GPT-2 and its twin in transformers, the oracle."""

import pytest
import torch
from transformers import GPT2Config as HubConfig
from transformers import GPT2LMHeadModel

from reprotune.model.network import Network
from reprotune.model.weights import load_model

VOCABULARY = 61


def make_twins(
    folder_factory: pytest.TempPathFactory, layers: int, heads: int, width: int, positions: int
) -> tuple[Network, GPT2LMHeadModel]:
    """Return our model and transformers' with the same random weights: large matrices, so that answers vary."""
    torch.manual_seed(layers)
    config = HubConfig(n_layer=layers, n_head=heads, n_embd=width, n_positions=positions, vocab_size=VOCABULARY)
    theirs = GPT2LMHeadModel(config).eval()
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.add_(torch.randn_like(parameter) * (0.5 if parameter.dim() == 2 else 0.1))
    folder = folder_factory.mktemp("twins")
    theirs.save_pretrained(folder)
    return load_model(folder), theirs


@pytest.fixture(scope="session", params=[(2, 2, 16, 64), (3, 4, 32, 48), (1, 5, 20, 96)], ids=str)
def twins(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Network, GPT2LMHeadModel]:
    """Our model and transformers', for several shapes (layers, heads, width, positions)."""
    return make_twins(tmp_path_factory, *request.param)


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Network:
    """One of our models with a context of 64 tokens."""
    return make_twins(tmp_path_factory, layers=2, heads=2, width=16, positions=64)[0]
