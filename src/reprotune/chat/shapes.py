"""Answers in the shapes of OpenAI's interface: whole ones and chunks of a stream, with usage and log-probabilities."""

import json
import secrets
import time
from collections.abc import Sequence
from typing import Any

from reprotune.chat.answers import Piece
from reprotune.chat.engine import TokenScore
from reprotune.chat.text import BROKEN
from reprotune.dataset.tokenizers.encoding import Tokenizer

FINISH = {"eos": "stop", "stopped": "stop", "length": "length"}
"""Why an answer ended, in OpenAI's words."""
DONE = "data: [DONE]\n\n"


def envelope(kind: str, prefix: str, model: str) -> dict[str, Any]:
    """Return what every answer begins with; the chunks of a stream share it."""
    return {"id": f"{prefix}-{secrets.token_hex(12)}", "object": kind, "created": int(time.time()), "model": model}


def event(value: Any) -> str:
    """Return a server-sent event."""
    return f"data: {json.dumps(value, ensure_ascii=False)}\n\n"


def usage(prompt_tokens: int, completion_tokens: int) -> dict[str, int]:
    """Return the counts of tokens; end-of-text counts as none."""
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
    }


def chat_logprobs(tokenizer: Tokenizer, scores: Sequence[TokenScore]) -> dict[str, Any]:
    """Return scores as a chat's `logprobs`."""
    listed = [
        {
            **_spelled(tokenizer, score.token, score.logprob),
            "top_logprobs": [_spelled(tokenizer, token, logprob) for token, logprob in score.top],
        }
        for score in scores
    ]
    return {"content": listed, "refusal": None}


def _spelled(tokenizer: Tokenizer, token: int, logprob: float) -> dict[str, Any]:
    text = tokenizer.decode([token])
    return {"token": text, "logprob": logprob, "bytes": None if BROKEN in text else list(text.encode())}


class CompletionLogprobs:
    """Scores as a completion's `logprobs`, whose offsets count characters from the beginning of its text."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        """Begin at the first character."""
        self._tokenizer = tokenizer
        self._offset = 0

    def prompt(self, ids: Sequence[int], scores: Sequence[TokenScore | None]) -> dict[str, Any]:
        """Return the part for a prompt, whose first token has no score."""
        return self._listed(list(ids), scores)

    def answer(self, scores: Sequence[TokenScore]) -> dict[str, Any]:
        """Return the part for the next tokens of an answer."""
        return self._listed([score.token for score in scores], scores)

    def _listed(self, ids: Sequence[int], scores: Sequence[TokenScore | None]) -> dict[str, Any]:
        tokens = [self._tokenizer.decode([token]) for token in ids]
        offsets = []
        for token in tokens:
            offsets.append(self._offset)
            self._offset += len(token)
        return {
            "tokens": tokens,
            "token_logprobs": [score and score.logprob for score in scores],
            "top_logprobs": [score and self._alternatives(score) for score in scores],
            "text_offset": offsets,
        }

    def _alternatives(self, score: TokenScore) -> dict[str, float]:
        """Return texts with their log-probabilities; of tokens with the same text, the likeliest counts."""
        found: dict[str, float] = {}
        for token, logprob in score.top:
            found.setdefault(self._tokenizer.decode([token]), logprob)
        return found


def joined(parts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the parts of a completion's `logprobs` as one."""
    names = ("tokens", "token_logprobs", "top_logprobs", "text_offset")
    return {name: [item for part in parts for item in part[name]] for name in names}


def whole_text(pieces: Sequence[Piece]) -> str:
    """Return the text of an answer."""
    return "".join(piece.text for piece in pieces)


def finish(pieces: Sequence[Piece]) -> str:
    """Return why an answer ended."""
    return FINISH[pieces[-1].finish_reason or "eos"]
