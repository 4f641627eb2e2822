"""Another model's replies are never labelled as the asked one's."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reprotune.errors import UserError
from reprotune.judging.questions.prompts import Item, question
from reprotune.judging.service.collect import collect_verdicts
from reprotune.judging.service.openai import OpenAIClient
from reprotune.judging.service.served import is_asked
from reprotune.judging.service.store import ReplyStore

QUESTION = question("reference", Item("i", "", "r", "a"))


@pytest.mark.parametrize(
    ("asked", "served", "expected"),
    [
        ("gpt-4o", "gpt-4o", True),
        ("gpt-4o", "gpt-4o-2024-08-06", True),
        ("gpt-4o", "gpt-4o-mini", False),
        ("gpt-4o-2024-08-06", "gpt-4o", False),
        ("llama3", "llama3:latest", True),
        ("llama3", "llama3:70b", False),
        ("llama3:8b", "llama3", False),
        ("Qwen/Qwen2.5-0.5B-Instruct", "Qwen/Qwen2.5-0.5B-Instruct@main", True),
        ("Qwen2.5-0.5B-Instruct", "qwen/qwen2.5-0.5b-instruct", True),
        ("judge", "/models/judge.gguf", True),
        ("judge", "some-other-model", False),
    ],
)
def test_names_of_one_model(asked: str, served: str, expected: bool) -> None:
    assert is_asked(asked, served) == expected


def test_another_model_fails_or_is_recorded(
    service: Any, steps: Any, judge_params: Callable[..., Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    message = {"message": {"role": "assistant", "content": steps.good}, "finish_reason": "stop"}
    service.default = steps.body(json.dumps({"model": "some-other-model", "choices": [message]}).encode())
    asked = {"backend": "openai", "model": "judge"}
    strict = judge_params(**asked)
    lax = judge_params(**asked, when_other_model="warn")
    with ReplyStore(tmp_path / "replies.jsonl") as store:
        with pytest.raises(UserError, match=r"asked the model 'some-other-model' instead of judge\.model 'judge'"):
            collect_verdicts(OpenAIClient(strict), [QUESTION], store)
        [judgement] = collect_verdicts(OpenAIClient(lax), [QUESTION], store)
        assert judgement.served == {"some-other-model"}
        assert "the scores are that model's" in capsys.readouterr().err
        calls = len(service.calls)
        with pytest.raises(UserError, match="some-other-model"):  # nor is a kept reply taken for the asked model's
            collect_verdicts(OpenAIClient(strict), [QUESTION], store)
        assert len(service.calls) == calls
