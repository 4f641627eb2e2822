"""Choosing the next token of each row: the likeliest, or one drawn from a filtered distribution."""

import hashlib

import torch
from torch import Tensor


def uniform_draws(seed: int, row_id: str, count: int) -> Tensor:
    """Return `count` numbers in [0, 1), float64 on the CPU: a row's own stream, whatever else is in its batch."""
    digest = hashlib.sha256(f"{seed}:{row_id}".encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest[:8]) >> 1)
    return torch.rand(count, generator=generator, dtype=torch.float64)


def filtered_probabilities(logits: Tensor, temperature: float, top_k: int | None, top_p: float | None) -> Tensor:
    """Return the probabilities to sample from, float32 [rows, vocabulary], of `logits` of the same shape.

    In this order: divide by `temperature`, keep the `top_k` likeliest (ties with the last one too), then keep the
    smallest set of likeliest tokens whose total probability reaches `top_p`.
    """
    logits = logits.float() / temperature
    if top_k is not None:
        weakest_kept = logits.topk(min(top_k, logits.shape[1])).values[:, -1:]
        logits = logits.masked_fill(logits < weakest_kept, -torch.inf)
    probabilities = logits.softmax(dim=1)
    if top_p is not None:
        ranked, order = probabilities.sort(dim=1, descending=True, stable=True)
        beyond = ranked.cumsum(dim=1) - ranked >= top_p
        beyond[:, 0] = False
        probabilities = probabilities.masked_fill(beyond.scatter(1, order, beyond), 0)
        probabilities = probabilities / probabilities.sum(dim=1, keepdim=True)
    return probabilities


def draw_tokens(probabilities: Tensor, draws: Tensor) -> Tensor:
    """Return a token for each row of `probabilities` [rows, vocabulary], by inverting its distribution function.

    `draws` [rows] are uniform in [0, 1). A token of probability 0 is never drawn.
    """
    distribution = probabilities.double().cumsum(dim=1)
    targets = draws.to(distribution)[:, None] * distribution[:, -1:]
    return torch.searchsorted(distribution, targets, right=True).squeeze(1)
