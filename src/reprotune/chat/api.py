"""The endpoints of OpenAI's interface: models, chat completions, completions."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from reprotune.chat.answers import Answers, Decoding, Piece, Question
from reprotune.chat.blind import Blind
from reprotune.chat.engine import BusyError, Engine, check_prompt
from reprotune.chat.models import Model
from reprotune.chat.prompts import Prompt
from reprotune.chat.requests import ApiError, ChatRequest, CompletionRequest, DecodingRequest, parsed
from reprotune.chat.shapes import (
    DONE,
    FINISH,
    CompletionLogprobs,
    chat_logprobs,
    envelope,
    event,
    finish,
    joined,
    usage,
    whole_text,
)
from reprotune.console import note
from reprotune.errors import UserError
from reprotune.faults import told
from reprotune.files import size_words
from reprotune.generation.slots import Sampling
from reprotune.params.sections.generate import GenerateParams

MOST_BYTES = 1 << 20
"""Largest body of a request."""
BODY_SECONDS = 30
"""Longest time for a body to arrive."""
RETRY_SECONDS = 5
"""When a client that was turned away may try again."""
GONE = 499
"""The status of a request whose client has left, who does not read it."""


@dataclass(frozen=True)
class Service:
    """What the endpoints need: the models by name, the engine, the defaults, the longest time for an answer, and the
    blind pairs where there are any."""

    models: dict[str, Model]
    engine: Engine
    defaults: GenerateParams
    seconds: float
    blind: Blind | None = None

    def model(self, name: str) -> Model:
        """Return a model by its name, or by a side of a blind pair; raises `ApiError`."""
        name = name if self.blind is None else self.blind.model_name(name)
        if name not in self.models:
            known = ", ".join(self.models)
            raise ApiError(404, f"there is no model {name[:100]!r}: use one of {known}", "model_not_found", "model")
        return self.models[name]

    def decoding(self, request: DecodingRequest, most: int | None, scores: int | None, echo: bool = False) -> Decoding:
        """Return how a request is answered; what it leaves open is as `generate` in params.yaml says."""
        given = request.model_fields_set
        sampling = Sampling(
            self.defaults.temperature if request.temperature is None else request.temperature,
            request.top_k if "top_k" in given else self.defaults.top_k,
            request.top_p if "top_p" in given else self.defaults.top_p,
        )
        most = self.defaults.max_new_tokens if most is None else most
        seed = self.defaults.seed if request.seed is None else request.seed
        return Decoding(most, sampling, seed, request.stop, scores, echo and scores is not None)

    def answers(self, model: Model, questions: Sequence[Question], how: Decoding) -> Answers:
        """Submit questions; raises `ApiError` where too many wait."""
        try:
            return Answers(self.engine, model, questions, how)
        except BusyError as error:
            raise ApiError(
                429,
                f"too many requests are waiting: try again in {RETRY_SECONDS} seconds",
                "queue_full",
                headers={"retry-after": str(RETRY_SECONDS)},
            ) from error


Handler = Callable[[Service, Request], Awaitable[Response]]


def endpoint(service: Service, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
    """Return a handler for Starlette, whose faults are told in OpenAI's shape."""

    async def handle(request: Request) -> Response:
        try:
            return await handler(service, request)
        except ClientDisconnect:
            return Response(status_code=GONE)
        except Exception as error:
            return failed(error)

    return handle


def failed(error: Exception) -> Response:
    """Return the response for an error."""
    fault = as_api_error(error)
    return JSONResponse(fault.body, fault.status, fault.headers)


def as_api_error(error: Exception) -> ApiError:
    """Return an error as it is told to a client; one that nobody expected is told on the console."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, UserError):
        return ApiError(400, str(error))
    if isinstance(error, TimeoutError):
        return ApiError(504, "the answer took too long: ask for fewer tokens, or again when less is asked", "timeout")
    note(f"serve: {told(error, 'serve')}")
    return ApiError(500, "the model failed; the server's console says why", "internal_error")


async def list_models(service: Service, request: Request) -> Response:
    """GET /v1/models, or the one that the path names."""
    listed = [{"id": name, "object": "model", "created": 0, "owned_by": "reprotune"} for name in service.models]
    if "model" in request.path_params:
        name = service.model(request.path_params["model"]).name
        return JSONResponse(next(model for model in listed if model["id"] == name))
    return JSONResponse({"object": "list", "data": listed})


async def chat_completions(service: Service, request: Request) -> Response:
    """POST /v1/chat/completions."""
    asked = parsed(ChatRequest, await read_body(request))
    model = service.model(asked.model)
    prompt = await chat_prompt(model, asked)
    most = asked.max_completion_tokens or asked.max_tokens
    how = service.decoding(asked, most, asked.scores)
    answers = service.answers(model, [Question(prompt.ids, prompt.header)], how)
    if asked.stream:
        chunks = _chat_chunks(model, asked, answers, len(prompt.ids))
        return _streamed(service, answers, chunks)
    (pieces,) = await _collected(service, request, answers, 1)
    scores = [score for piece in pieces for score in piece.scores]
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": whole_text(pieces), "refusal": None},
        "logprobs": None if how.scores is None else chat_logprobs(model.tokenizer, scores),
        "finish_reason": finish(pieces),
    }
    counts = usage(len(prompt.ids), _tokens(pieces))
    return JSONResponse(envelope("chat.completion", "chatcmpl", asked.model) | {"choices": [choice], "usage": counts})


async def completions(service: Service, request: Request) -> Response:
    """POST /v1/completions: text, or token ids, that the model continues; no template comes into it."""
    asked = parsed(CompletionRequest, await read_body(request))
    model = service.model(asked.model)
    prompts = await asyncio.to_thread(_raw_prompts, model, asked)
    for prompt in prompts:
        _check_length(prompt, model, asked)
    how = service.decoding(asked, asked.max_tokens, asked.logprobs, asked.echo)
    answers = service.answers(model, [Question(prompt, None) for prompt in prompts], how)
    if asked.stream:
        return _streamed(service, answers, _completion_chunks(model, asked, answers, prompts))
    found = await _collected(service, request, answers, len(prompts))
    choices = [
        _choice(model, asked, index, prompt, pieces, CompletionLogprobs(model.tokenizer))
        for index, (prompt, pieces) in enumerate(zip(prompts, found, strict=True))
    ]
    counts = usage(sum(map(len, prompts)), sum(map(_tokens, found)))
    return JSONResponse(envelope("text_completion", "cmpl", asked.model) | {"choices": choices, "usage": counts})


async def read_body(request: Request) -> bytes:
    """Return the body of a request; raises `ApiError` for one that is too large, too slow or no JSON."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise ApiError(415, "send the body as JSON, with the header content-type: application/json")
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > MOST_BYTES:
                    raise ApiError(
                        413,
                        f"the body has more than {size_words(MOST_BYTES)}, which is the limit: send less",
                        headers={"connection": "close"},
                    )
    except TimeoutError as error:
        message = f"the body took more than {BODY_SECONDS} seconds to arrive: send it at once"
        raise ApiError(408, message, headers={"connection": "close"}) from error
    return bytes(body)


async def chat_prompt(model: Model, asked: ChatRequest) -> Prompt:
    """Return the prompt of a conversation; raises `ApiError` where it cannot be one.

    Templates run in the main thread, where alone their time is bounded.
    """
    try:
        prompt = model.prompts.of_messages([message.turn for message in asked.messages])
    except UserError as error:
        raise ApiError(400, str(error), param="messages") from error
    _check_length(prompt.ids, model, asked)
    return prompt


def _check_length(ids: list[int], model: Model, asked: DecodingRequest) -> None:
    try:
        room = isinstance(asked, CompletionRequest) and asked.max_tokens == 0
        check_prompt(ids, model.context + room, "shorten it")
    except UserError as error:
        raise ApiError(400, str(error), "context_length_exceeded" if ids else None) from error


def _raw_prompts(model: Model, asked: CompletionRequest) -> list[list[int]]:
    first = [] if model.tokenizer.beginning_of_text is None else [model.tokenizer.beginning_of_text]
    found = []
    for prompt in asked.prompts:
        if isinstance(prompt, str):
            found.append([*first, *model.tokenizer.encode_batch([prompt])[0]])
            continue
        if any(not 0 <= token < model.tokenizer.vocabulary_size for token in prompt):
            raise ApiError(400, "a token id of the prompt is none of the model's: encode it again", param="prompt")
        found.append(prompt)
    return found


async def _collected(service: Service, request: Request, answers: Answers, count: int) -> list[list[Piece]]:
    """Return the pieces of each answer; raises `ClientDisconnect` as soon as nobody waits for them any more."""
    found: list[list[Piece]] = [[] for _ in range(count)]

    async def collect() -> None:
        async with asyncio.timeout(service.seconds):
            async for piece in answers:
                found[piece.place].append(piece)

    with answers:
        work = asyncio.ensure_future(collect())
        gone = asyncio.ensure_future(_disconnected(request))
        try:
            await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                raise ClientDisconnect
            await work
        finally:
            for task in (work, gone):
                task.cancel()
                with suppress(asyncio.CancelledError, Exception):
                    await task
    return found


async def _disconnected(request: Request) -> None:
    """Return when the client has left."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _streamed(service: Service, answers: Answers, chunks: AsyncIterator[dict[str, Any]]) -> Response:
    """Return a stream of chunks; one that fails ends with an event that says why."""

    async def events() -> AsyncIterator[str]:
        try:
            async with asyncio.timeout(service.seconds):
                async for chunk in chunks:
                    yield event(chunk)
        except Exception as error:
            yield event(as_api_error(error).body)
        yield DONE

    return _Stream(answers, events())


class _Stream(StreamingResponse):
    """Server-sent events; however the response ends, the answers that it tells end with it."""

    def __init__(self, answers: Answers, events: AsyncIterator[str]) -> None:
        super().__init__(events, media_type="text/event-stream", headers={"x-accel-buffering": "no"})
        self._answers = answers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._answers:
            await super().__call__(scope, receive, send)


async def _chat_chunks(
    model: Model, asked: ChatRequest, answers: Answers, prompt_tokens: int
) -> AsyncIterator[dict[str, Any]]:
    common = envelope("chat.completion.chunk", "chatcmpl", asked.model)
    yield common | {"choices": [_delta({"role": "assistant", "content": ""})]}
    tokens = 0
    waiting: list[Any] = []
    async for piece in answers:
        tokens += piece.tokens
        waiting += piece.scores
        if piece.text or (piece.finish_reason and waiting):
            logprobs = None if asked.scores is None else chat_logprobs(model.tokenizer, waiting)
            waiting = []
            yield common | {"choices": [_delta({"content": piece.text}, logprobs)]}
        if piece.finish_reason:
            yield common | {"choices": [_delta({}, reason=FINISH[piece.finish_reason])]}
    if asked.stream_options and asked.stream_options.include_usage:
        yield common | {"choices": [], "usage": usage(prompt_tokens, tokens)}


def _delta(delta: dict[str, str], logprobs: Any = None, reason: str | None = None) -> dict[str, Any]:
    return {"index": 0, "delta": delta, "logprobs": logprobs, "finish_reason": reason}


async def _completion_chunks(
    model: Model, asked: CompletionRequest, answers: Answers, prompts: list[list[int]]
) -> AsyncIterator[dict[str, Any]]:
    common = envelope("text_completion", "cmpl", asked.model)
    logprobs = [CompletionLogprobs(model.tokenizer) for _ in prompts]
    waiting: list[list[Piece]] = [[] for _ in prompts]
    echoed = [not asked.echo for _ in prompts]
    tokens = 0
    async for piece in answers:
        index = piece.place
        tokens += piece.tokens
        waiting[index].append(piece)
        if piece.text or piece.finish_reason:
            prompt = [] if echoed[index] else prompts[index]
            choice = _choice(model, asked, index, prompt, waiting[index], logprobs[index])
            choice["finish_reason"] = piece.finish_reason and choice["finish_reason"]
            echoed[index], waiting[index] = True, []
            yield common | {"choices": [choice]}
    if asked.stream_options and asked.stream_options.include_usage:
        yield common | {"choices": [], "usage": usage(sum(map(len, prompts)), tokens)}


def _choice(
    model: Model,
    asked: CompletionRequest,
    index: int,
    prompt: list[int],
    pieces: list[Piece],
    logprobs: CompletionLogprobs,
) -> dict[str, Any]:
    """Return a choice of a completion, or a chunk of one; with `echo` it begins with the prompt."""
    echoed = model.tokenizer.decode(prompt) if asked.echo else ""
    parts = []
    if asked.logprobs is not None:
        for piece in pieces:
            if piece.prompt_scores:
                parts.append(logprobs.prompt(prompt, piece.prompt_scores))
            parts.append(logprobs.answer(piece.scores))
    return {
        "index": index,
        "text": echoed + whole_text(pieces),
        "logprobs": None if asked.logprobs is None else joined(parts),
        "finish_reason": finish(pieces),
    }


def _tokens(pieces: Sequence[Piece]) -> int:
    return sum(piece.tokens for piece in pieces)
