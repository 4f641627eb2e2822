"""Between the thread of the model and asyncio: questions in, the pieces of their answers out."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import NamedTuple, Self

import torch

from reprotune.chat.engine import Engine, Job, TokenScore
from reprotune.chat.models import Model
from reprotune.chat.text import Transcript
from reprotune.generation.sampling import uniform_draws
from reprotune.generation.slots import Row, Sampling

NO_DRAWS = torch.empty(0, dtype=torch.float64)


class Question(NamedTuple):
    """What the model reads; `header` is that of the template, None for text that is continued as it is."""

    ids: list[int]
    header: str | None


class Decoding(NamedTuple):
    """How a question is answered."""

    max_tokens: int
    sampling: Sampling
    seed: int
    stops: Sequence[str] = ()
    scores: int | None = None
    """How many likeliest tokens are told with each token; None: no scores."""
    scores_prompt: bool = False


class Piece(NamedTuple):
    """A part of the answer to one of several questions, in order."""

    place: int
    """Which of the questions it answers, counted from 0."""
    text: str = ""
    scores: Sequence[TokenScore] = ()
    prompt_scores: Sequence[TokenScore | None] = ()
    tokens: int = 0
    """How many tokens of the answer it stands for."""
    finish_reason: str | None = None
    """As in `FinishReason`, with the last piece of an answer."""


class Answers:
    """The answers to some questions, while they are being written; an async iterator over `Piece`.

    A context manager: what has not ended by then is cancelled.
    """

    def __init__(self, engine: Engine, model: Model, questions: Sequence[Question], how: Decoding) -> None:
        """Submit the questions, all or none; raises `BusyError` where too many wait."""
        self._engine = engine
        self._events: asyncio.Queue[Piece | Exception] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()
        self._jobs: list[Job] = []
        try:
            for place, question in enumerate(questions):
                transcript = Transcript(model.tokenizer, how.stops, question.header)
                job = Job(
                    row_of(model, question.ids, how), _Told(self, place, transcript), how.scores, how.scores_prompt
                )
                engine.submit(model.name, job)
                self._jobs.append(job)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        """Return the answers."""
        return self

    def __exit__(self, *_: object) -> None:
        """Cancel what has not ended."""
        self.close()

    def close(self) -> None:
        """Cancel what has not ended."""
        for job in self._jobs:
            self._engine.cancel(job)

    async def __aiter__(self) -> AsyncIterator[Piece]:
        """Yield the pieces of all answers as they come; raises what ended the model's work."""
        unfinished = len(self._jobs)
        while unfinished:
            event = await self._events.get()
            if isinstance(event, Exception):
                raise event
            unfinished -= event.finish_reason is not None
            yield event

    def tell(self, event: Piece | Exception) -> None:
        """Pass on a piece, from whichever thread."""
        try:
            self._loop.call_soon_threadsafe(self._events.put_nowait, event)
        except RuntimeError:  # the server has stopped, so nobody listens
            return


class _Told:
    """The listener to one job: turns tokens into pieces."""

    def __init__(self, answers: Answers, place: int, transcript: Transcript) -> None:
        self._answers = answers
        self._place = place
        self._transcript = transcript

    def prompt_scored(self, scores: list[TokenScore | None]) -> None:
        self._answers.tell(Piece(self._place, prompt_scores=scores))

    def token(self, token: int, score: TokenScore | None) -> bool:
        text = self._transcript.add(token)
        self._answers.tell(Piece(self._place, text, () if score is None else (score,), tokens=1))
        return not self._transcript.stopped

    def ended(self, reason: str) -> None:
        self._answers.tell(Piece(self._place, self._transcript.end(), finish_reason=reason))

    def failed(self, error: Exception) -> None:
        self._answers.tell(error)


def row_of(model: Model, ids: list[int], how: Decoding) -> Row:
    """Return a row that is decoded as `generate` decodes the first of its prompts with the same seed."""
    limit = min(how.max_tokens, model.context - len(ids))
    draws = uniform_draws(how.seed, "0", limit) if how.sampling.temperature else NO_DRAWS
    return Row(ids, limit, draws, model.tokenizer.end_of_text, how.sampling)
