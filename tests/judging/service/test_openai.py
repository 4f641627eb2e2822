"""What only the client for OpenAI-compatible services does."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reprotune.errors import UserError
from reprotune.judging.questions.prompts import Item, question
from reprotune.judging.service.collect import Client, collect_verdicts
from reprotune.judging.service.openai import OpenAIClient
from reprotune.judging.service.store import ReplyStore
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


def test_a_model_that_refuses_the_temperature(openai: Client, service: Any, steps: Any) -> None:
    message = "Unsupported value: 'temperature' does not support 0 with this model. Only the default (1) is supported."
    service.steps = [steps.status(400, message)]
    assert ask(openai).refused == ["temperature"]
    assert ask(openai).refused == ["temperature"]
    assert ["temperature" in call for call in service.calls] == [True, False, False]
    assert formats(service) == ["json_schema"] * 3


def test_threads_that_are_refused_at_the_same_time_all_learn(
    judge_params: Callable[..., Any], service: Any, steps: Any, tmp_path: Path
) -> None:
    together = threading.Barrier(4)

    def strict(handler: Any, request: dict[str, Any]) -> None:
        if "max_tokens" in request:
            together.wait(10)
            steps.status(400, "use max_completion_tokens")(handler, request)
        elif "temperature" in request:
            steps.status(400, "temperature is not supported")(handler, request)
        else:
            handler.send_reply(request, steps.good, "stop", None)

    service.default = strict
    client = OpenAIClient(judge_params(backend="openai"))
    asked = [question("reference", ITEM._replace(response=f"answer {n}")) for n in range(4)]
    with ReplyStore(tmp_path / "replies.jsonl") as store:
        assert [judgement.verdict.status for judgement in collect_verdicts(client, asked, store)] == ["ok"] * 4
    client.close()


def test_the_fingerprint_of_the_service_is_kept(openai: Client, service: Any, steps: Any) -> None:
    choice = {"message": {"content": steps.good}, "finish_reason": "stop"}
    service.default = lambda handler, request: handler.send_json({"choices": [choice], "system_fingerprint": "fp_1"})
    assert ask(openai).fingerprint == "fp_1"
