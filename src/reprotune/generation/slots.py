"""Rows that are being decoded, in a few slots that never wait for one another.

Active rows fill the first slots of the cache; when one ends, the last active row moves to its slot. So a step computes
no finished rows and no padding, and each row is computed as it would be alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from reprotune.compute.device import Compute
from reprotune.dataset.packing import packed_positions, shared_prefix
from reprotune.generation.cache import KeyValueCache
from reprotune.generation.sampling import draw_tokens, filtered_probabilities
from reprotune.generation.steps import token_step
from reprotune.model.network import Network

FinishReason = Literal["eos", "length", "no_room", "stopped"]


class Sampling(NamedTuple):
    """How a row's next token is chosen: temperature 0 is greedy, `top_k` and `top_p` None keep every token."""

    temperature: float = 0
    top_k: int | None = None
    top_p: float | None = None


@dataclass(eq=False)
class Row:
    """A prompt and what has been decoded of its answer, of at most `limit` tokens.

    `draws` are its random numbers, one for each token (empty when greedy).
    """

    prompt: list[int]
    limit: int
    draws: Tensor
    end_of_text: tuple[int, ...]
    sampling: Sampling
    answer: list[int] = field(default_factory=list)
    finish_reason: FinishReason | None = None

    def add(self, token: int) -> None:
        """Take the next token of the answer; an end-of-text token ends the row and is not kept."""
        if token in self.end_of_text:
            self.finish_reason = "eos"
            return
        self.answer.append(token)
        if len(self.answer) == self.limit:
            self.finish_reason = "length"

    @property
    def position(self) -> int:
        """Position of the latest token, which the network has not read yet."""
        return len(self.prompt) + len(self.answer) - 1


class Slots:
    """The slots: `active[i]` is the row whose past is in slot i of the cache."""

    def __init__(self, model: Network, count: int, capacity: int) -> None:
        """Hold `count` rows, each of at most `capacity` tokens of prompt and answer."""
        self.model = model
        self.count = count
        self.active: list[Row] = []
        self.compute = Compute.of(model.wte.weight)
        self.cache = KeyValueCache(model.config, count, capacity, self.compute)
        self._step = token_step(model, self.cache)

    def reserve(self, capacity: int) -> None:
        """Make room for rows of `capacity` tokens, more than now; those that are active keep their pasts."""
        larger = KeyValueCache(self.model.config, self.count, capacity, self.compute)
        larger.take(self.cache, len(self.active))
        self.cache = larger
        self._step = token_step(self.model, larger)

    @property
    def capacity(self) -> int:
        """Most tokens of a row."""
        return self.cache.keys.shape[3]

    @property
    def free(self) -> int:
        """How many more rows may start."""
        return self.count - len(self.active)

    def start(self, rows: Sequence[Row]) -> Tensor:
        """Read whole prompts, without padding, into free slots; predictions after their last tokens, [rows, V].

        A prefix that they share is read once.
        """
        prefix = shared_prefix([row.prompt for row in rows]) if self.compute.shares_prefix else 0
        lengths = [len(row.prompt) - prefix for row in rows]
        own = [token for row in rows for token in row.prompt[prefix:]]
        input_ids = torch.tensor([*rows[0].prompt[:prefix], *own])
        positions = torch.cat([torch.arange(prefix), packed_positions(lengths, prefix)])
        attend = self.cache.prefill(len(self.active), lengths, prefix)
        device = self.compute.device
        hidden = self.model(input_ids[None].to(device), positions[None].to(device), attend)
        last_tokens = prefix + torch.tensor(lengths).cumsum(0) - 1
        self.active += rows
        return self.model.logits(hidden[0, last_tokens.to(device)])

    def step(self) -> Tensor:
        """Predictions after the latest token of each active row, [active, V]; valid until the next call."""
        return self._step([row.answer[-1] for row in self.active], [row.position for row in self.active])

    def release_finished(self) -> list[Row]:
        """Free the slots of rows that have ended, and return those rows."""
        finished = []
        for slot in reversed(range(len(self.active))):
            row = self.active[slot]
            if row.finish_reason is None:
                continue
            finished.append(row)
            last = self.active.pop()
            if last is not row:
                self.cache.move(len(self.active), slot, last.position)
                self.active[slot] = last
        return finished


def choose_tokens(rows: Sequence[Row], logits: Tensor) -> list[int]:
    """Return each row's next token, chosen from its predictions, [rows, V], in its own way."""
    ways = {row.sampling for row in rows}
    if len(ways) == 1:
        return _chosen(rows, logits, ways.pop())
    tokens = [0] * len(rows)
    for way in ways:
        places = [place for place, row in enumerate(rows) if row.sampling == way]
        chosen = _chosen([rows[place] for place in places], logits[places], way)
        for place, token in zip(places, chosen, strict=True):
            tokens[place] = token
    return tokens


def _chosen(rows: Sequence[Row], logits: Tensor, sampling: Sampling) -> list[int]:
    if sampling.temperature == 0:
        return logits.float().argmax(dim=1).tolist()  # three times as fast as in bfloat16 on a CPU
    probabilities = filtered_probabilities(logits, *sampling)
    draws = torch.stack([row.draws[len(row.answer)] for row in rows])
    return draw_tokens(probabilities, draws).tolist()
