"""Judges behind OpenAI-compatible chat completions: OpenAI, vLLM, llama.cpp, LM Studio, `transformers serve`, ..."""

import os
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from reprotune.errors import UserError
from reprotune.judging.questions.probabilities import ALTERNATIVES, TokenTail, token_tail
from reprotune.judging.questions.prompts import Question
from reprotune.judging.service.served import served_model
from reprotune.judging.service.store import Reply, token_count
from reprotune.judging.service.transport import Deadlines, RequestError, Transport, concurrency
from reprotune.params.sections.judge import JudgeParams

DEFAULT_URL = "https://api.openai.com/v1"
REMEDY = (
    "set OPENAI_BASE_URL to the service's address (it usually ends in /v1) and OPENAI_API_KEY to its key, or set "
    "judge.backend: offline in params.yaml"
)
REPLY_FORMATS = ("json_schema", "json_object", "text")
"""The forms of reply to ask for, strictest first; not every server knows the first two."""
REFUSABLE = ("logprobs", "temperature")
"""Options that some models refuse: reasoning models sample at a temperature of their own."""


class OpenAIClient:
    """A judge at `$OPENAI_BASE_URL` with the key `$OPENAI_API_KEY` (local servers need none)."""

    def __init__(self, params: JudgeParams, deadlines: Deadlines | None = None) -> None:
        """Read the environment; nothing is sent yet."""
        self.concurrency = concurrency(default=8)
        address = os.environ.get("OPENAI_BASE_URL") or DEFAULT_URL
        key = os.environ.get("OPENAI_API_KEY", "").strip()
        if not key and address == DEFAULT_URL:
            raise UserError(f"OPENAI_API_KEY is not set: {REMEDY}")
        if not (key.isascii() and key.isprintable()):
            raise UserError("OPENAI_API_KEY contains characters that no key has: copy it again")
        self._transport = Transport(address, key or None, deadlines or Deadlines(), self.concurrency, REMEDY)
        self._model = params.model
        self.when_other_model = params.when_other_model
        self._options: dict[str, Any] = {
            "seed": params.seed,
            "temperature": params.temperature,
            "max_tokens": params.max_tokens,
        }
        if params.expected_score:
            self._options |= {"logprobs": True, "top_logprobs": ALTERNATIVES}
        self._format = 0
        self._limit_name = "max_tokens"
        self._refused: frozenset[str] = frozenset()
        # These services give no digest of the model's weights.
        self.judge = {
            "backend": "openai",
            "model": params.model,
            "digest": None,
            "address": self._transport.place,
            "options": self._options,
        }

    def reach(self) -> None:
        """Raise `UserError` where nothing answers, or the key is refused; any other reply is a sign of life."""
        with suppress(RequestError):
            self._transport.request("GET", "/models")

    def close(self) -> None:
        """Release the connections."""
        self._transport.close()

    def prepare(self, questions: Sequence[Question]) -> None:
        """Nothing to prepare: the first question shows whether the service is there."""

    def ask(self, question: Question, repeat: int = 0) -> Reply:
        """Ask once, with the strictest reply format that the server accepts; raises `RequestError`."""
        if question.schema is None:
            return self._send(question, "text", repeat)
        level = self._format
        while True:
            try:
                reply = self._send(question, REPLY_FORMATS[level], repeat)
                break
            except RequestError as fault:
                if fault.status != 400 or level == len(REPLY_FORMATS) - 1:
                    raise
                level += 1
        # Remembered only now: a 400 may also mean that this one prompt is too long.
        self._format = max(self._format, level)
        return reply

    def _send(self, question: Question, reply_format: str, repeat: int) -> Reply:
        refused = self._refused
        payload = self._payload(question, reply_format, repeat, refused)
        try:
            value = self._transport.request("POST", "/chat/completions", payload)
            served = served_model(self._model, value.get("model"), self.when_other_model)
            return _reply(value)._replace(refused=sorted(refused) or None, served=served)
        except RequestError as fault:
            if fault.status == 404:
                raise UserError(
                    f"{self._transport.address} has no model {self._model} or no chat completions ({fault}): check "
                    "judge.model in params.yaml and OPENAI_BASE_URL"
                ) from fault
            if fault.status != 400 or not self._learned_from(str(fault), payload):
                raise
        return self._send(question, reply_format, repeat)

    def _learned_from(self, refusal: str, payload: dict[str, Any]) -> bool:
        """Remember which option of a payload the server says it does not take; false if it says no such thing.

        What counts is the payload that was refused: another thread may have learned the same in the meantime.
        """
        if "max_tokens" in payload and "max_completion_tokens" in refusal:
            self._limit_name = "max_completion_tokens"  # the only name that OpenAI's newer models know
            return True
        for option in REFUSABLE:
            if option in payload and option in refusal:
                self._refused |= {option}
                return True
        return False

    def _payload(self, question: Question, reply_format: str, repeat: int, refused: frozenset[str]) -> dict[str, Any]:
        options = {**self._options, "seed": self._options["seed"] + repeat}
        options[self._limit_name] = options.pop("max_tokens")
        options = {name: value for name, value in options.items() if name.removeprefix("top_") not in refused}
        payload: dict[str, Any] = {"model": self._model, "messages": list(question.messages), **options}
        if reply_format == "json_schema":
            schema = {"name": "verdict", "strict": True, "schema": question.schema}
            payload["response_format"] = {"type": "json_schema", "json_schema": schema}
        elif reply_format == "json_object":
            payload["response_format"] = {"type": "json_object"}
        return payload


def _reply(value: dict[str, Any]) -> Reply:
    """Read the first choice; raises `RequestError` if there is none."""
    try:
        choice = value["choices"][0]
        message = choice["message"]
        text = message.get("content") or ""
        refusal = message.get("refusal")
        finish = choice.get("finish_reason")
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise RequestError("the reply contains no message") from error
    if not isinstance(text, str):
        raise RequestError("the reply's content is not text")
    usage = value.get("usage")
    counts = usage if isinstance(usage, dict) else {}
    if refusal or finish == "content_filter":
        text, finish = str(refusal or text), "refused"
    return Reply(
        text,
        finish if finish in ("length", "refused") else "stop",
        token_count(counts.get("prompt_tokens")),
        token_count(counts.get("completion_tokens")),
        _tail(choice.get("logprobs")),
        fingerprint if isinstance(fingerprint := value.get("system_fingerprint"), str) else None,
    )


def _tail(logprobs: Any) -> TokenTail | None:
    return token_tail(logprobs.get("content")) if isinstance(logprobs, dict) else None
