"""Batched decoding: many prompts of different lengths through a few slots that never wait for one another.

Prompts go longest first. Active rows fill the first slots; when one ends, the last active row moves to its slot, and
when a quarter of the slots is free, waiting prompts are read into them together. So the batch holds no finished rows
and no padding, and each row is computed as it would be alone.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from reprotune.compute.device import Compute
from reprotune.dataset.packing import packed_positions, shared_prefix
from reprotune.errors import UserError
from reprotune.generation.cache import KeyValueCache
from reprotune.generation.sampling import draw_tokens, filtered_probabilities, uniform_draws
from reprotune.generation.steps import token_step
from reprotune.model.network import Network

FinishReason = Literal["eos", "length", "no_room"]

PREFILL_TOKENS = 16384
"""Most prompt tokens read in one forward pass (but at least one prompt), to bound memory."""


@dataclass(frozen=True)
class DecodingSettings:
    """How to decode, up to one of `end_of_text`.

    `temperature` 0 is greedy, `top_k` and `top_p` None keep every token.
    """

    max_new_tokens: int
    batch_size: int
    end_of_text: tuple[int, ...]
    temperature: float = 0
    top_k: int | None = None
    top_p: float | None = None
    seed: int = 0


@dataclass(frozen=True)
class Generated:
    """An answer, without its end-of-text token.

    `finish_reason`: `eos` (end-of-text was written), `length` (token limit or full context) or `no_room` (the
    prompt fills the context).
    """

    token_ids: list[int]
    finish_reason: FinishReason


@dataclass
class _Row:
    """A prompt and what has been decoded of its answer; `draws` are its random numbers (empty when greedy)."""

    index: int
    prompt: list[int]
    limit: int
    draws: Tensor
    answer: list[int] = field(default_factory=list)
    finish_reason: FinishReason | None = None

    def add(self, token: int, end_of_text: tuple[int, ...]) -> None:
        if token in end_of_text:
            self.finish_reason = "eos"
            return
        self.answer.append(token)
        if len(self.answer) == self.limit:
            self.finish_reason = "length"

    def position(self) -> int:
        """Position of the latest token, which the network has not read yet."""
        return len(self.prompt) + len(self.answer) - 1


@torch.inference_mode()
def generate(
    model: Network,
    prompts: list[list[int]],
    settings: DecodingSettings,
    row_ids: Sequence[str] | None = None,
    on_finished: Callable[[], object] = lambda: None,
) -> list[Generated]:
    """Decode an answer to each prompt, in the order of `prompts`.

    `row_ids` name the rows' random streams when sampling (default: their indices), so an answer depends on the
    seed, the row and its prompt only. `on_finished` is called after each answer. Matrix products run in the format
    of the token embedding (`prepare_for_inference`); in float32 a greedy answer does not depend on the other rows, in
    bfloat16 rounding may decide near-ties. Raises `UserError` on a prompt without tokens.
    """
    row_ids = row_ids or [str(index) for index in range(len(prompts))]
    answers = [Generated([], "no_room")] * len(prompts)
    waiting: deque[_Row] = deque()
    for index in sorted(range(len(prompts)), key=lambda index: -len(prompts[index])):
        if not prompts[index]:
            raise UserError(f"the prompt of row {row_ids[index]} is empty, but decoding needs a token to start from")
        limit = min(settings.max_new_tokens, model.config.n_positions - len(prompts[index]))
        if limit > 0:
            draws = uniform_draws(settings.seed, row_ids[index], limit if settings.temperature else 0)
            waiting.append(_Row(index, prompts[index], limit, draws))
        else:
            on_finished()
    if not waiting:
        return answers
    decoder = _Decoder(model, settings, waiting)
    with decoder.compute.autocast():
        while waiting or decoder.active:
            for index, answer in decoder.advance(waiting):
                answers[index] = answer
                on_finished()
    return answers


class _Decoder:
    """The slots: `active[i]` is the row whose past is in slot i of the cache."""

    def __init__(self, model: Network, settings: DecodingSettings, rows: Sequence[_Row]) -> None:
        self.model = model
        self.settings = settings
        self.slots = min(settings.batch_size, len(rows))
        self.active: list[_Row] = []
        self.compute = Compute.of(model.wte.weight)
        capacity = max(len(row.prompt) + row.limit for row in rows)
        self.cache = KeyValueCache(model.config, self.slots, capacity, self.compute)
        self._step = token_step(model, self.cache)

    def advance(self, waiting: deque[_Row]) -> list[tuple[int, Generated]]:
        """Give some rows one more token: new ones where enough slots are free, else all active ones.

        Returns the answers that this ended, each with its row's index; `waiting` loses the rows it started.
        """
        free = self.slots - len(self.active)
        if waiting and free >= max(1, self.slots // 4):
            count = min(free, len(waiting), max(1, PREFILL_TOKENS // len(waiting[0].prompt)))
            rows = [waiting.popleft() for _ in range(count)]
            logits = self._read_prompts(rows)
            self.active += rows
        else:
            rows = self.active
            logits = self._step([row.answer[-1] for row in rows], [row.position() for row in rows])
        for row, token in zip(rows, self._choose(rows, logits), strict=True):
            row.add(token, self.settings.end_of_text)
        return self._release_finished()

    def _read_prompts(self, rows: list[_Row]) -> Tensor:
        """Read whole prompts, without padding, into the free slots; predictions after their last tokens, [rows, V].

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
        return self.model.logits(hidden[0, last_tokens.to(device)])

    def _choose(self, rows: list[_Row], logits: Tensor) -> list[int]:
        settings = self.settings
        if settings.temperature == 0:
            return logits.float().argmax(dim=1).tolist()  # three times as fast as in bfloat16 on a CPU
        probabilities = filtered_probabilities(logits, settings.temperature, settings.top_k, settings.top_p)
        draws = torch.stack([row.draws[len(row.answer)] for row in rows])
        return draw_tokens(probabilities, draws).tolist()

    def _release_finished(self) -> list[tuple[int, Generated]]:
        finished = []
        for slot in reversed(range(len(self.active))):
            row = self.active[slot]
            if row.finish_reason is None:
                continue
            finished.append((row.index, Generated(row.answer, row.finish_reason)))
            last = self.active.pop()
            if last is not row:
                self.cache.move(len(self.active), slot, last.position())
                self.active[slot] = last
        return finished


def answer_text(decoded: str, header: str) -> str:
    """Return the answer within a decoded text, stripped.

    `header` is what the template put before the answers in the training text, so that the model writes it, too (empty
    where the prompt ends with it). Every occurrence is removed, as in the book chapter.
    """
    marker = header.strip()
    return (decoded.replace(marker, "") if marker else decoded).strip()
