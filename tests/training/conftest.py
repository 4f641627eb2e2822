"""A tiny network, random rows and default params for the training tests."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from reprotune.dataset.collate import TokenRows
from reprotune.model.config import ModelConfig
from reprotune.model.network import Network
from reprotune.params.sections.finetune import FinetuneParams

DEFAULTS: dict[str, Any] = {
    "init": "base",
    "method": "full",
    "lora": {
        "rank": 4,
        "alpha": 8,
        "targets": "all",
        "rank_stabilised": False,
        "dora": False,
        "keep_adapters": False,
    },
    "epochs": 2,
    "batch_size": 8,
    "drop_last": False,
    "batching": "packed",
    "micro_batch_tokens": 4096,
    "activation_checkpointing": False,
    "compile": "auto",
    "mask_instruction": False,
    "learning_rate": 1e-3,
    "schedule": "cosine",
    "warmup_fraction": 0.1,
    "min_learning_rate": 1e-5,
    "decay_fraction": 0.2,
    "weight_decay": 0.1,
    "decay_all": False,
    "beta1": 0.9,
    "beta2": 0.95,
    "grad_clip": 1.0,
    "eval_every": None,
    "early_stopping_patience": None,
    "precision": "fp32",
    "saved_precision": "base",
    "seed": 123,
}

END_OF_TEXT = 255
"""A vocabulary of 256 is enough, and the tests are fast."""


@pytest.fixture
def make_params() -> Callable[..., FinetuneParams]:
    def make(**changes: Any) -> FinetuneParams:
        return FinetuneParams.parse("finetune", {**DEFAULTS, **changes})

    return make


@pytest.fixture
def make_rows() -> Callable[..., TokenRows]:
    """Rows of random ids with very different lengths, all with the same opening; each ends with one end-of-text."""

    def make(count: int, seed: int = 0, longest: int = 30) -> TokenRows:
        random = np.random.default_rng(seed)
        pairs = []
        for _ in range(count):
            prompt = [*range(10), *random.integers(0, 200, random.integers(1, longest - 10)).tolist()]
            response = [*random.integers(0, 200, random.integers(0, longest)).tolist(), END_OF_TEXT]
            pairs.append((prompt, response))
        return TokenRows.from_lists(pairs)

    return make


@pytest.fixture
def make_model() -> Callable[..., Network]:
    def make(seed: int = 1) -> Network:
        model = Network(ModelConfig(n_layer=2, n_head=2, n_embd=16, n_positions=64, vocab_size=256))
        model.initialize(torch.Generator().manual_seed(seed))
        return model

    return make
