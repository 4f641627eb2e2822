"""Judges served by Ollama, through its native API.

Its OpenAI-compatible API cannot set the context size, and Ollama's default silently cuts long prompts.
"""

import os
from collections.abc import Sequence
from typing import Any

from reprotune.console import note
from reprotune.errors import UserError
from reprotune.judging.questions.probabilities import ALTERNATIVES, token_tail
from reprotune.judging.questions.prompts import Question
from reprotune.judging.service.served import served_model
from reprotune.judging.service.store import Reply, token_count
from reprotune.judging.service.transport import Deadlines, RequestError, Transport, concurrency
from reprotune.params.sections.judge import JudgeParams

DEFAULT_PORT = 11434
DEFAULT_HOST = f"127.0.0.1:{DEFAULT_PORT}"
REMEDY = "start it with `ollama serve`, set OLLAMA_HOST to its address, or set judge.backend: offline in params.yaml"
KEEP_ALIVE = "30m"
LOAD_SECONDS = 1800.0
"""Longest wait for a model to load from a slow disk."""
BYTES_PER_TOKEN_LOW = 2
"""A prompt holds at most one token per this many bytes, in any language that a judge model reads well."""
BYTES_PER_TOKEN_HIGH = 8
"""A prompt with fewer tokens than one per this many bytes was cut: plain English has 4 to 5 bytes per token."""
CHAT_TEMPLATE_TOKENS = 64
"""Room for what the model's chat template adds to a prompt."""


class OllamaClient:
    """A judge at `$OLLAMA_HOST` (default http://127.0.0.1:11434; `host:port` is enough)."""

    def __init__(self, params: JudgeParams, deadlines: Deadlines | None = None) -> None:
        """Connect and look up the model; raises `UserError` if the service or the model is not there."""
        self.concurrency = concurrency(default=1)
        address = _base_url(os.environ.get("OLLAMA_HOST") or DEFAULT_HOST)
        self._transport = Transport(address, None, deadlines or Deadlines(), self.concurrency, REMEDY)
        self._model = params.model
        self.when_other_model = params.when_other_model
        self._max_tokens = params.max_tokens
        self._options = {"seed": params.seed, "temperature": params.temperature, "num_predict": params.max_tokens}
        self._num_ctx = 0
        # Since Ollama 0.12.11; older versions ignore both keys.
        self._probabilities = {"logprobs": True, "top_logprobs": ALTERNATIVES} if params.expected_score else {}
        # num_ctx is left out: it has no effect on a prompt that fits, and others are refused.
        options = {**self._options, **self._probabilities}
        self.judge = {
            "backend": "ollama",
            "model": params.model,
            "digest": self._digest(),
            "address": self._transport.place,
            "options": options,
        }

    def reach(self) -> None:
        """Nothing to do: looking up the digest has shown that the service and the model are there."""

    def close(self) -> None:
        """Release the connections."""
        self._transport.close()

    def prepare(self, questions: Sequence[Question]) -> None:
        """Choose one context size for the run (changing it makes Ollama reload the model) and load the model."""
        longest = max(_prompt_bytes(question) for question in questions)
        # Twice the reply, because a repair request includes the reply that could not be read.
        needed = longest // BYTES_PER_TOKEN_LOW + 2 * self._max_tokens + CHAT_TEMPLATE_TOKENS
        self._num_ctx = 1 << (needed - 1).bit_length()
        note(f"judge: loading {self._model} with a context of {self._num_ctx} tokens")
        try:
            self._transport.request("POST", "/api/chat", self._payload([]), read=LOAD_SECONDS)
        except RequestError as error:
            raise UserError(
                f"Ollama cannot load the judge {self._model} ({error}): try `ollama run {self._model}`, or set "
                "judge.model in params.yaml to another model"
            ) from error

    def ask(self, question: Question, repeat: int = 0) -> Reply:
        """Ask once; raises `RequestError`, also if the prompt was cut to fit the context."""
        payload = {**self._payload(list(question.messages), repeat), **self._probabilities}
        if question.schema is not None:
            payload["format"] = question.schema
        value = self._transport.request("POST", "/api/chat", payload)
        message = value.get("message")
        if not isinstance(message, dict) or not isinstance(message.get("content"), str):
            raise RequestError("the reply contains no message")
        prompt_tokens = token_count(value.get("prompt_eval_count"))
        if prompt_tokens is not None:
            self._check_whole(prompt_tokens, _prompt_bytes(question))
        finish = "length" if value.get("done_reason") == "length" else "stop"
        tail = token_tail(value.get("logprobs"))
        reply = Reply(message["content"], finish, prompt_tokens, token_count(value.get("eval_count")), tail)
        return reply._replace(served=served_model(self._model, value.get("model"), self.when_other_model))

    def _payload(self, messages: list[dict[str, str]], repeat: int = 0) -> dict[str, Any]:
        return {
            "model": self._model,
            "messages": messages,
            "stream": False,
            "keep_alive": KEEP_ALIVE,
            "truncate": False,
            "shift": False,
            "options": {**self._options, "seed": self._options["seed"] + repeat, "num_ctx": self._num_ctx},
        }

    def _check_whole(self, prompt_tokens: int, prompt_bytes: int) -> None:
        """Refuse a reply to a cut prompt: servers that do not know `truncate: false` cut it silently."""
        if prompt_tokens >= self._num_ctx or prompt_tokens * BYTES_PER_TOKEN_HIGH < prompt_bytes:
            raise RequestError(
                f"the service cut the prompt: it read {prompt_tokens} tokens for {prompt_bytes} bytes "
                f"(context size: {self._num_ctx})"
            )

    def _digest(self) -> str:
        """Return the model's digest: a tag such as `llama3` may stand for another model tomorrow."""
        try:
            models = self._transport.request("GET", "/api/tags").get("models")
        except RequestError as error:
            raise UserError(f"{self._transport.address} does not answer like Ollama ({error}): {REMEDY}") from error
        names = {self._model, f"{self._model}:latest"}
        for model in models if isinstance(models, list) else []:
            if isinstance(model, dict) and model.get("name") in names and isinstance(model.get("digest"), str):
                return str(model["digest"])
        raise UserError(
            f"Ollama at {self._transport.address} has no model {self._model}: run `ollama pull {self._model}`, or "
            "set judge.model in params.yaml to another model"
        )


def _base_url(host: str) -> str:
    """Complete `OLLAMA_HOST` as Ollama does: both scheme and port are optional."""
    if "://" in host:
        return host
    bare = host.rpartition("]")[2]  # an IPv6 address has colons of its own
    return f"http://{host}" if ":" in bare else f"http://{host}:{DEFAULT_PORT}"


def _prompt_bytes(question: Question) -> int:
    return sum(len(message["content"].encode("utf-8", "replace")) for message in question.messages)
