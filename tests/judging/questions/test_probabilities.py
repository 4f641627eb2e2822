"""Probability-weighted scores: the traps of tokenizers, hostile lists, both services."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reprotune.judging.questions.probabilities import TAIL_TOKENS, expected_score, token_tail
from reprotune.judging.questions.prompts import Item, question
from reprotune.judging.service.collect import collect_verdicts
from reprotune.judging.service.ollama import OllamaClient
from reprotune.judging.service.openai import OpenAIClient
from reprotune.judging.service.store import ReplyStore

QUESTION = question("reference", Item("Name it.", "", "reference", "answer"))


def alternatives(weights: dict[str, float]) -> list[list[Any]]:
    return [[text, math.log(weight)] for text, weight in weights.items()]


def tail(number: str, weights: dict[str, float], after: str = "}") -> list[list[Any]]:
    return [["score", []], ['":', []], [" ", []], [number, alternatives(weights)], [after, []]]


def test_the_mean_of_the_legal_scores() -> None:
    found = expected_score(80, tail("80", {"80": 0.5, " 90": 0.2, "85.5": 0.1, "the": 0.1, "101": 0.1}))
    assert found is not None
    assert found.score == pytest.approx((80 * 0.5 + 90 * 0.2) / 0.7)
    assert found.mass == pytest.approx(0.7)


@pytest.mark.parametrize(
    ("written", "tokens"),
    [
        (85, [["8", alternatives({"8": 0.9})], ["5", alternatives({"5": 0.9})]]),  # digits, one by one
        (100, [["10", alternatives({"10": 0.9})], ["0", alternatives({"0": 1.0})]]),  # a part of the number
        (5, tail("5", {"5": 0.6, "1": 0.4})),  # its 1 may begin 10 or 100
        (80, tail("80", {"80": 0.3, "high": 0.6})),  # little of the mass is legal
        (80, tail("80", {"80": 0.9, "90": 0.9})),  # no probabilities
        (80, tail("80", {})),
        (70, tail("80", {"80": 1.0})),  # the text says something else
        (80, None),
    ],
)
def test_where_no_weighting_is_possible(written: float, tokens: list[list[Any]] | None) -> None:
    assert expected_score(written, tokens) is None


def test_the_last_token_that_is_the_score_counts() -> None:
    quoted = [["80", alternatives({"80": 0.5, "10": 0.5})], [" and", []]]
    found = expected_score(80, quoted + tail("80", {"80": 1.0}))
    assert found is not None and found.score == pytest.approx(80)


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["token", "top_logprobs", "logprob"]), inner)
    ),
    max_leaves=8,
)


@given(json_values)
def test_any_list_of_a_service_is_read_or_passed_over(entries: Any) -> None:
    found = token_tail(entries)
    assert found is None or len(found) <= TAIL_TOKENS
    expected_score(80, found)


def told(number: str, weights: dict[str, float]) -> list[dict[str, Any]]:
    tops = [{"token": text, "logprob": math.log(weight)} for text, weight in weights.items()]
    return [{"token": token, "logprob": 0.0, "top_logprobs": tops} for token in (" ", number, "}")]


@pytest.mark.parametrize("backend", ["ollama", "openai"])
def test_both_services(
    service: Any, judge_params: Callable[..., Any], tmp_path: Path, backend: str, steps: Any
) -> None:
    entries = told("60", {"60": 0.75, "100": 0.25})
    text = '{"reasoning": "", "score": 60}'

    def answer(handler: Any, request: dict[str, Any]) -> None:
        assert (request["logprobs"], request["top_logprobs"]) == (True, 20)
        message = {"role": "assistant", "content": text}
        choice = {"message": message, "finish_reason": "stop", "logprobs": {"content": entries}}
        handler.send_json({"message": message, "done_reason": "stop", "logprobs": entries, "choices": [choice]})

    service.default = answer
    kind = OllamaClient if backend == "ollama" else OpenAIClient
    for _ in range(2):  # the second run reads the store
        client = kind(judge_params(backend=backend, expected_score=True))
        with ReplyStore(tmp_path / "replies.jsonl") as store:
            (judgement,) = collect_verdicts(client, [QUESTION], store)
        client.close()
        assert judgement.verdict.score == pytest.approx(70)
        assert judgement.masses == (pytest.approx(1),)
    assert len(service.calls) == 1


def test_a_service_that_refuses_probabilities_gives_plain_scores(
    service: Any, judge_params: Callable[..., Any], tmp_path: Path, steps: Any
) -> None:
    service.steps = [steps.status(400, "logprobs are not supported by this model")]
    client = OpenAIClient(judge_params(backend="openai", expected_score=True))
    with ReplyStore(tmp_path / "replies.jsonl") as store:
        (judgement,) = collect_verdicts(client, [QUESTION], store)
    client.close()
    assert (judgement.verdict.score, judgement.masses) == (70, ())
    assert "logprobs" in service.calls[0] and "logprobs" not in service.calls[1]
    assert "top_logprobs" not in service.calls[1]


def test_more_than_any_service_sends_is_another_format() -> None:
    fine = told("60", {str(number): 0.001 for number in range(20)})
    assert token_tail(fine) is not None
    assert token_tail(told("60", {str(number): 0.0001 for number in range(1000)})) is None
    assert token_tail(told("6" * 10_000, {"60": 1.0})) is None
