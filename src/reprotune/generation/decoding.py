"""Batched decoding: many prompts of different lengths through a few slots.

Prompts go longest first; when a quarter of the slots is free, waiting prompts are read into them together.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from reprotune.errors import UserError
from reprotune.generation.sampling import uniform_draws
from reprotune.generation.slots import FinishReason, Row, Sampling, Slots, choose_tokens
from reprotune.model.network import Network

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
    sampling = Sampling(settings.temperature, settings.top_k, settings.top_p)
    waiting: deque[Row] = deque()
    places: dict[Row, int] = {}
    for index in sorted(range(len(prompts)), key=lambda index: -len(prompts[index])):
        if not prompts[index]:
            raise UserError(f"the prompt of row {row_ids[index]} is empty, but decoding needs a token to start from")
        limit = min(settings.max_new_tokens, model.config.n_positions - len(prompts[index]))
        if limit > 0:
            draws = uniform_draws(settings.seed, row_ids[index], limit if settings.temperature else 0)
            row = Row(prompts[index], limit, draws, settings.end_of_text, sampling)
            places[row] = index
            waiting.append(row)
        else:
            on_finished()
    if not waiting:
        return answers
    capacity = max(len(row.prompt) + row.limit for row in waiting)
    slots = Slots(model, min(settings.batch_size, len(waiting)), capacity)
    with slots.compute.autocast():
        while waiting or slots.active:
            for row in _advance(slots, waiting):
                answers[places[row]] = Generated(row.answer, row.finish_reason or "eos")
                on_finished()
    return answers


def _advance(slots: Slots, waiting: deque[Row]) -> list[Row]:
    """Give some rows one more token: new ones where enough slots are free, else all active ones.

    Returns the rows that this ended; `waiting` loses those it started.
    """
    if waiting and slots.free >= max(1, slots.count // 4):
        count = min(slots.free, len(waiting), max(1, PREFILL_TOKENS // len(waiting[0].prompt)))
        rows = [waiting.popleft() for _ in range(count)]
        logits = slots.start(rows)
    else:
        rows = slots.active
        logits = slots.step()
    for row, token in zip(rows, choose_tokens(rows, logits), strict=True):
        row.add(token)
    return slots.release_finished()


def answer_text(decoded: str, header: str) -> str:
    """Return the answer within a decoded text, stripped.

    `header` is what the template put before the answers in the training text, so that the model writes it, too (empty
    where the prompt ends with it). Every occurrence is removed, as in the book chapter.
    """
    marker = header.strip()
    return (decoded.replace(marker, "") if marker else decoded).strip()
