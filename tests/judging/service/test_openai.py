"""What only the client for OpenAI-compatible services does."""

from collections.abc import Callable
from typing import Any

import pytest

from reprotune.errors import UserError
from reprotune.judging.questions.prompts import Item, question
from reprotune.judging.service.collect import Client
from reprotune.judging.service.openai import OpenAIClient
from reprotune.judging.service.transport import Deadlines, RequestError

ITEM = Item("Name the capital of Norway.", "", "Oslo.", "Bergen.")


def ask(client: Client) -> Any:
    return client.ask(question("reference", ITEM))


@pytest.fixture
def openai(service: Any, judge_params: Callable[..., Any], hasty: Deadlines) -> Any:
    client = OpenAIClient(judge_params(backend="openai"), hasty)
    yield client
    client.close()


def formats(service: Any) -> list[str]:
    return [call.get("response_format", {"type": "text"})["type"] for call in service.calls]


def test_reply_format_falls_back_and_stays(openai: Client, service: Any, steps: Any) -> None:
    service.steps = [steps.status(400, "unknown response_format"), steps.status(400, "unknown response_format")]
    ask(openai)
    ask(openai)
    assert formats(service) == ["json_schema", "json_object", "text", "text"]


def test_one_bad_prompt_loosens_nothing(openai: Client, service: Any, steps: Any) -> None:
    service.steps = [steps.status(400, "prompt too long")] * 3
    with pytest.raises(RequestError, match="prompt too long"):
        ask(openai)
    ask(openai)
    assert formats(service)[-1] == "json_schema"


def test_newer_name_of_the_token_limit(openai: Client, service: Any, steps: Any) -> None:
    service.steps = [steps.status(400, "'max_tokens' is not supported, use 'max_completion_tokens'")]
    ask(openai)
    assert "max_tokens" in service.calls[0] and service.calls[1]["max_completion_tokens"] == 256
    assert "max_tokens" not in service.calls[1]
    assert formats(service)[1] == "json_schema"


@pytest.mark.parametrize(
    ("message", "finish"), [({"content": None, "refusal": "I will not."}, "stop"), ({"content": ""}, "content_filter")]
)
def test_refusals(openai: Client, service: Any, message: dict[str, Any], finish: str) -> None:
    service.default = lambda handler, request: handler.send_json(
        {"choices": [{"message": message, "finish_reason": finish}]}
    )
    assert ask(openai).finish == "refused"


def test_unknown_model_or_path(openai: Client, service: Any, steps: Any) -> None:
    service.default = steps.status(404, "no such model")
    with pytest.raises(UserError, match=r"judge\.model"):
        ask(openai)


def test_key_is_sent_and_never_shown(openai: Client, service: Any, steps: Any) -> None:
    service.default = steps.status(400, "your header was Bearer sk-very-secret")
    with pytest.raises(RequestError) as caught:
        ask(openai)
    assert service.headers[0]["Authorization"] == "Bearer sk-very-secret"
    assert "sk-very-secret" not in str(caught.value)


def test_key_is_asked_for(judge_params: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    with pytest.raises(UserError, match="OPENAI_API_KEY is not set"):
        OpenAIClient(judge_params(backend="openai"))


def test_a_key_that_is_a_common_word_leaves_replies_alone(
    judge_params: Callable[..., Any], service: Any, steps: Any, hasty: Deadlines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    client = OpenAIClient(judge_params(backend="openai"), hasty)
    service.default = steps.reply('{"reasoning": "none of it is right", "score": 0}')
    assert ask(client).text == '{"reasoning": "none of it is right", "score": 0}'
    service.default = steps.status(400, "x" * 180 + " " + "bearer none, " * 9)
    with pytest.raises(RequestError) as caught:
        ask(client)
    assert "none" not in str(caught.value) and "bearer ***" in str(caught.value)
    client.close()
