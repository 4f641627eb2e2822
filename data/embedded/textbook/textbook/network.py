"""A GPT-2 over the few token ids that the textbook uses, and its expansion to the whole vocabulary.

The softmax over 50,257 ids would take most of the pretraining time of so small a network. Training runs over a
compact vocabulary: the ids in use, and one last row that stands in for all unused ids. That row takes part in the
softmax weighted by the number of ids it stands for and is never a target, so it learns to be unlikely. On export
every unused id gets this row: the full softmax then gives the same probabilities, and unused ids do no harm later.
"""

import math
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from reprotune.model.config import ModelConfig
from reprotune.model.network import Network

FULL_VOCABULARY = 50257
UNUSED_NOISE = 0.01
"""Spread of the unused rows around their common row, so that they can be told apart later."""


def used_ids(tokens: np.ndarray) -> np.ndarray:
    """Return the distinct token ids of a text, sorted; their places are the compact ids."""
    return np.unique(tokens)


def compact(tokens: np.ndarray, used: np.ndarray) -> Tensor:
    """Translate token ids to compact ids, int64."""
    return torch.from_numpy(np.searchsorted(used, tokens).astype(np.int64))


def compact_network(config: ModelConfig, used: int, generator: torch.Generator) -> Network:
    """Return a fresh network over `used` ids and one row for all others."""
    network = Network(replace(config, vocab_size=used + 1))
    network.initialize(generator)
    return network


def compact_loss(network: Network, hidden: Tensor, targets: Tensor) -> Tensor:
    """Mean loss in nats over the full vocabulary, computed over the compact one; `hidden` [..., C], `targets` [...]."""
    logits = network.logits(hidden).float().flatten(0, -2)
    weight = torch.zeros(logits.shape[1])
    weight[-1] = math.log(FULL_VOCABULARY - (logits.shape[1] - 1))
    return F.cross_entropy(logits + weight, targets.flatten())


def expand(network: Network, used: np.ndarray, generator: torch.Generator) -> Network:
    """Return the network over the full vocabulary; every unused id gets the common row and a little noise."""
    config = replace(network.config, vocab_size=FULL_VOCABULARY)
    weights = dict(network.state_dict())
    rows = weights["wte.weight"]
    noise = torch.randn(FULL_VOCABULARY, config.n_embd, generator=generator) * UNUSED_NOISE
    table = rows[-1] + noise
    table[torch.from_numpy(used.astype(np.int64))] = rows[:-1]
    weights["wte.weight"] = table
    full = Network(config)
    full.load_state_dict(weights)
    return full
