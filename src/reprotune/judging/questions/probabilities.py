"""Scores weighted by the judge's token probabilities (G-Eval; Liu et al. 2023), where that is sound.

A judge that hesitates between 70 and 90 writes one of them; its probabilities show both. That holds only where a score
is a single token. Llama 3 has a token for every integer up to 999, but Llama 2, Mistral, Gemma and Qwen write digits:
there the token `1` may be the start of `10` or `100`, and no weighting is possible.
"""

import math
from typing import Annotated, Any, NamedTuple

from pydantic import Field

LEAST_LOG = -9999.0
"""Stands for the logarithm of 0, which JSON cannot express."""

LogProbability = Annotated[float, Field(ge=LEAST_LOG, le=1e-6)]
TokenTail = list[tuple[str, list[tuple[str, LogProbability]]]]
"""The last tokens of a reply, each with its likeliest alternatives and their natural log probabilities."""

TAIL_TOKENS = 8
"""How many tokens of each reply to keep: the score is near its end, and probabilities are bulky."""

ALTERNATIVES = 20
"""How many alternatives to ask for at each token: the most that services return."""

MOST_ALTERNATIVES = 5 * ALTERNATIVES
LONGEST_TOKEN = 1000
"""More alternatives, or characters in a token, than any service sends."""

LEAST_MASS = 0.5
"""The legal scores must have at least this probability together: a smaller part of it says too little."""


class ExpectedScore(NamedTuple):
    """A probability-weighted score."""

    score: float
    mass: float
    """Probability of all legal scores among the alternatives, before they are scaled to 1."""


def token_tail(entries: Any) -> TokenTail | None:
    """Return the last tokens from a service's list of `{token, top_logprobs: [{token, logprob}]}`.

    Ollama and OpenAI-compatible services share this format. Null where there is no list, or one in another format.
    """
    if not isinstance(entries, list) or not entries:
        return None
    try:
        return [
            (
                _text(entry["token"]),
                [(_text(top["token"]), _log(top["logprob"])) for top in _few(entry["top_logprobs"])],
            )
            for entry in entries[-TAIL_TOKENS:]
        ]
    except (KeyError, TypeError, ValueError):
        return None


def expected_score(written: float, tail: TokenTail | None) -> ExpectedScore | None:
    """Return the mean of the scores 0..100, weighted by the judge's probabilities at the token that is its score.

    `written` is the score that was read from the text. Null where no single token is that score, where the
    tokenizer may write a number as several tokens, or where the legal scores have too little probability.
    """
    tail = tail or []
    for place in range(len(tail) - 1, -1, -1):
        text, alternatives = tail[place]
        if _legal_score(text) == written and not _is_part(tail, place):
            return _expectation(alternatives)
    return None


def _expectation(alternatives: list[tuple[str, float]]) -> ExpectedScore | None:
    weights: dict[int, float] = {}
    for text, log_probability in alternatives:
        score = _legal_score(text)
        if score is not None:
            weights[score] = weights.get(score, 0.0) + math.exp(log_probability)
    mass = math.fsum(weights.values())
    # Single digits only: a tokenizer that writes digit by digit looks like this, and its `1` may start `100`.
    if not weights or max(weights) < 10 or not LEAST_MASS <= mass <= 1.01:
        return None
    return ExpectedScore(math.fsum(score * weight for score, weight in weights.items()) / mass, mass)


def _legal_score(text: str) -> int | None:
    """Return the score 0..100 that a token is, apart from blanks and quotes around it; null if it is none."""
    text = text.strip(" \n\"'")
    if not (text.isascii() and text.isdecimal() and len(text) <= 3):
        return None
    return int(text) if int(text) <= 100 else None


def _is_part(tail: TokenTail, place: int) -> bool:
    """Say whether the number at `place` is only part of one, with another digit directly before or after it."""
    before = tail[place - 1][0] if place else ""
    after = tail[place + 1][0] if place + 1 < len(tail) else ""
    own = tail[place][0]
    return (before[-1:].isdecimal() and own[:1].isdecimal()) or (own[-1:].isdecimal() and after[:1].isdecimal())


def _few(alternatives: Any) -> Any:
    if len(alternatives) > MOST_ALTERNATIVES:
        raise ValueError
    return alternatives


def _text(value: Any) -> str:
    if not isinstance(value, str) or len(value) > LONGEST_TOKEN:
        raise TypeError
    return value


def _log(value: Any) -> float:
    """Return a log probability, `LEAST_LOG` for minus infinity."""
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value) or value > 1e-6:
        raise ValueError
    return max(float(value), LEAST_LOG)
