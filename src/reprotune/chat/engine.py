"""Continuous batching: one thread that decodes whatever has been asked, and jobs that join and leave at any step.

    thread of the model        advance  advance  advance  advance
    job 1                      start    step     step     ended
    job 2                               start    step     step
    job 3, whose client left                     -

A job takes a free slot as soon as there is one, first come, first served; one that is cancelled loses it before the
next step. An answer depends on its own job alone, as in `generation.decoding`, whose slots these are.
"""

import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from reprotune.console import note
from reprotune.errors import UserError
from reprotune.faults import told
from reprotune.generation.slots import Row, Slots, choose_tokens
from reprotune.model.network import Network

PROMPT_TOKENS = 2048
"""Most prompt tokens read in one pass (but at least one prompt): meanwhile the answers that are being written wait."""
LEAST_CAPACITY = 256
"""Tokens for which a slot has room at first; the cache grows with what is asked, up to the model's context."""
SCORED_TOKENS = 256
"""Prompt tokens whose predictions over the whole vocabulary are in memory at a time."""


class BusyError(Exception):
    """As many jobs are waiting as may wait."""


class TokenScore(NamedTuple):
    """A token with its log-probability, and the likeliest tokens in its place with theirs."""

    token: int
    logprob: float
    top: list[tuple[int, float]]


class Listener(Protocol):
    """Who asked; called in the thread of the model."""

    def prompt_scored(self, scores: list[TokenScore | None]) -> None:
        """Take the score of each token of the prompt, of which the first has none."""

    def token(self, token: int, score: TokenScore | None) -> bool:
        """Take the next token of the answer; false where no more is wanted."""

    def ended(self, reason: str) -> None:
        """Take the reason for which the answer ends, one of `FinishReason`."""

    def failed(self, error: Exception) -> None:
        """Take what ended the job."""


@dataclass(eq=False)
class Job:
    """A prompt to answer; `scores` is how many likeliest tokens are told with each token, None: no scores."""

    row: Row
    listener: Listener
    scores: int | None = None
    scores_prompt: bool = False
    cancelled: bool = False


@dataclass
class Lane:
    """A model with its slots, what they work on, and who waits for one."""

    slots: Slots
    waiting: deque[Job] = field(default_factory=deque)
    jobs: dict[Row, Job] = field(default_factory=dict)

    @torch.inference_mode()
    def advance(self, next_jobs: Callable[[], list[Job]]) -> None:
        """Start what can start, and give every active row one more token."""
        with self.slots.compute.autocast():
            self._drop_cancelled()
            if started := next_jobs():
                self._start(started)
            if self.slots.active:
                self._take(self.slots.active, self.slots.step())

    def fail(self, error: Exception) -> None:
        """End every active job with an error, and begin anew with empty slots."""
        failed = list(self.jobs.values())
        self.jobs.clear()
        self.slots = Slots(self.slots.model, self.slots.count, LEAST_CAPACITY)
        for job in failed:
            job.listener.failed(error)

    def _drop_cancelled(self) -> None:
        for job in self.jobs.values():
            if job.cancelled:
                job.row.finish_reason = "stopped"
        self._release()

    def _start(self, jobs: list[Job]) -> None:
        self.jobs |= {job.row: job for job in jobs}  # from here on, `fail` tells them
        for job in jobs:
            if job.scores_prompt:
                job.listener.prompt_scored(prompt_scores(self.slots.model, job.row.prompt, job.scores or 0))
            if not job.row.limit:
                job.row.finish_reason = "length"
                job.listener.ended("length")
                del self.jobs[job.row]
        rows = [job.row for job in jobs if job.row.limit]
        if rows:
            self._make_room(max(len(row.prompt) + row.limit for row in rows))
            self._take(rows, self.slots.start(rows))

    def _make_room(self, tokens: int) -> None:
        if tokens > self.slots.capacity:
            doubled = max(2 * self.slots.capacity, tokens)
            self.slots.reserve(min(doubled, self.slots.model.config.n_positions))

    def _take(self, rows: list[Row], logits: Tensor) -> None:
        """Choose the next token of each row from its predictions, [rows, V], and tell it."""
        scored = [place for place, row in enumerate(rows) if self.jobs[row].scores is not None]
        logprobs = dict(zip(scored, logits[scored].float().log_softmax(dim=1), strict=True)) if scored else {}
        for place, (row, token) in enumerate(zip(rows, choose_tokens(rows, logits), strict=True)):
            row.add(token)
            if row.finish_reason == "eos":
                continue
            job = self.jobs[row]
            score = token_score(token, logprobs[place], job.scores or 0) if place in logprobs else None
            if not job.listener.token(token, score):
                row.finish_reason = "stopped"
        self._release()

    def _release(self) -> None:
        for row in self.slots.release_finished():
            self.jobs.pop(row).listener.ended(row.finish_reason or "stopped")


class Engine:
    """The thread that decodes; its lanes, one for each model, take turns."""

    def __init__(self, models: Mapping[str, Network], slots: int, most_waiting: int) -> None:
        """Start the thread; each model answers `slots` jobs at a time while at most `most_waiting` wait for it."""
        self._lanes = {name: Lane(Slots(model, slots, LEAST_CAPACITY)) for name, model in models.items()}
        self._most_waiting = most_waiting
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="model", daemon=True)
        self._thread.start()

    def submit(self, model: str, job: Job) -> None:
        """Have a model answer; raises `BusyError` where too many wait already."""
        lane = self._lanes[model]
        with self._changed:
            if len(lane.waiting) >= self._most_waiting + lane.slots.free:
                raise BusyError
            lane.waiting.append(job)
            self._changed.notify()

    def cancel(self, job: Job) -> None:
        """Stop a job before its next step, wherever it is; one that has ended stays as it is."""
        with self._changed:
            job.cancelled = True
            for lane in self._lanes.values():
                if job in lane.waiting:
                    lane.waiting.remove(job)

    def load(self) -> dict[str, tuple[int, int]]:
        """Return for each model how many jobs it works on, and how many wait."""
        with self._changed:
            return {name: (len(lane.jobs), len(lane.waiting)) for name, lane in self._lanes.items()}

    def close(self) -> None:
        """End the thread after its present step; jobs that have not ended stay unanswered."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while self._await_work():
            for name, lane in self._lanes.items():
                try:
                    lane.advance(partial(self._next_jobs, lane))
                except Exception as error:  # memory that is full, most likely; the server goes on
                    note(f"{name}: {told(error, 'serve')}")
                    lane.fail(error)

    def _await_work(self) -> bool:
        """Wait until there is something to do; false when the engine is closed."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._closed or any(lane.jobs or lane.waiting for lane in self._lanes.values())
            )
            return not self._closed

    def _next_jobs(self, lane: Lane) -> list[Job]:
        """Take from a lane's queue what fits into its free slots and into one pass."""
        started: list[Job] = []
        tokens = 0
        with self._changed:
            while lane.waiting and len(started) < lane.slots.free:
                tokens += len(lane.waiting[0].row.prompt)
                if started and tokens > PROMPT_TOKENS:
                    break
                started.append(lane.waiting.popleft())
        return started


def prompt_scores(model: Network, prompt: list[int], alternatives: int) -> list[TokenScore | None]:
    """Return the score of each token of a prompt, with the likeliest tokens in its place; None for the first one."""
    device = model.wte.weight.device
    hidden = model(torch.tensor([prompt], device=device))[0, :-1]
    scores: list[TokenScore | None] = [None]
    for start in range(0, len(hidden), SCORED_TOKENS):
        logprobs = model.logits(hidden[start : start + SCORED_TOKENS]).float().log_softmax(dim=1)
        following = prompt[start + 1 :]
        scores += [token_score(token, row, alternatives) for token, row in zip(following, logprobs, strict=False)]
    return scores


def token_score(token: int, logprobs: Tensor, alternatives: int) -> TokenScore:
    """Return the score of a token, given the log-probabilities, [V], in its place."""
    top = logprobs.topk(min(alternatives, len(logprobs)))
    return TokenScore(token, logprobs[token].item(), list(zip(top.indices.tolist(), top.values.tolist(), strict=True)))


def check_prompt(prompt: list[int], context: int, shorten: str) -> None:
    """Raise `UserError` where a prompt is empty or leaves no room for an answer; `shorten` says what to do."""
    if not prompt:
        raise UserError("the prompt is empty, but decoding needs a token to start from: write something")
    if len(prompt) >= context:
        raise UserError(
            f"the prompt has {len(prompt):,} tokens, but the model reads {context:,}, its answer included: {shorten}"
        )
