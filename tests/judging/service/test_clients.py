"""Both clients against a service that fails in every way users have reported."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from reprotune.errors import UserError
from reprotune.judging.questions.prompts import Item, Question, question
from reprotune.judging.service.ollama import OllamaClient, _base_url
from reprotune.judging.service.openai import OpenAIClient
from reprotune.judging.service.protocol import Client
from reprotune.judging.service.transport import Deadlines, RequestError, ServiceUnreachableError, Transport

ITEM = Item("Name the capital of Norway.", "", "Oslo.", "Bergen.")


@pytest.fixture(params=["ollama", "openai"])
def client(request: pytest.FixtureRequest, service: Any, judge_params: Callable[..., Any], hasty: Deadlines) -> Any:
    kind = OllamaClient if request.param == "ollama" else OpenAIClient
    client: Client = kind(judge_params(backend=request.param), hasty)
    client.prepare([question("reference", ITEM)])
    yield client
    client.close()


def ask(client: Client, rubric: str = "reference") -> Any:
    return client.ask(question(rubric, ITEM))


def test_good_reply(client: Client, service: Any, steps: Any) -> None:
    reply = ask(client)
    assert (reply.text, reply.finish, reply.reply_tokens) == (steps.good, "stop", 9)
    assert len(service.calls) == 1


def test_reply_cut_by_the_token_limit(client: Client, service: Any, steps: Any) -> None:
    service.steps = [steps.reply("9", finish="length")]
    assert ask(client).finish == "length"


@pytest.mark.parametrize("code", [408, 409, 425, 429, 500, 502, 503])
def test_passing_faults_are_tried_again(client: Client, service: Any, steps: Any, code: int) -> None:
    service.steps = [steps.status(code)]
    assert ask(client).text == steps.good
    assert len(service.calls) == 2


@pytest.mark.parametrize("name", ["drop", "hang_up"])
def test_broken_connections_are_tried_again(client: Client, service: Any, steps: Any, name: str) -> None:
    service.steps = [getattr(steps, name)]
    assert ask(client).text == steps.good
    assert len(service.calls) == 2


@pytest.mark.parametrize("content", [b"<html>proxy</html>", b'{"message"', b"\xff\xfe", b'{"error": "out of memory"}'])
def test_bodies_that_are_no_reply_are_tried_again(client: Client, service: Any, steps: Any, content: bytes) -> None:
    service.steps = [steps.body(content)]
    assert ask(client).text == steps.good


@pytest.mark.parametrize("content", [b"[]", b"{}", b'{"message": {}, "choices": [{"message": {"content": 5}}]}'])
def test_objects_without_a_message_fail_the_question(client: Client, service: Any, steps: Any, content: bytes) -> None:
    service.steps = [steps.body(content)]
    with pytest.raises(RequestError):
        ask(client)
    assert len(service.calls) == 1


def test_attempts_are_bounded(client: Client, service: Any, steps: Any) -> None:
    service.default = steps.status(500, "worker died")
    with pytest.raises(RequestError, match="HTTP 500: worker died"):
        ask(client)
    assert len(service.calls) == 3


def test_client_errors_are_not_tried_again(client: Client, service: Any, steps: Any) -> None:
    service.default = steps.status(422, "no")
    with pytest.raises(RequestError, match="HTTP 422"):
        ask(client)
    assert len(service.calls) == 1


@pytest.mark.parametrize("code", [401, 402, 403])
def test_refused_access_ends_the_run(client: Client, service: Any, steps: Any, code: int) -> None:
    service.default = steps.status(code, "pay or leave")
    with pytest.raises(UserError, match="pay or leave"):
        ask(client)
    assert len(service.calls) == 1


def test_redirects_are_not_followed(client: Client, service: Any, steps: Any) -> None:
    service.default = steps.status(302, headers={"Location": "http://127.0.0.1:1/"})
    with pytest.raises(RequestError, match="HTTP 302"):
        ask(client)


def test_silence_runs_into_the_read_deadline(client: Client, service: Any, steps: Any) -> None:
    service.steps = [steps.reply("late", delay=1)]
    assert ask(client).text == steps.good


def test_trickling_server_cannot_outlast_the_total_deadline(
    service: Any, steps: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.default = steps.trickle
    transport = Transport(f"http://{service.address}", None, Deadlines(total=0.4, backoff=0.01), 1, "give up")
    started = time.monotonic()
    with pytest.raises(RequestError, match="silent"):
        transport.request("POST", "/api/chat", {"messages": [{}]})
    assert time.monotonic() - started < 1
    transport.close()


@pytest.mark.parametrize("value", ["0.2", "date"])
def test_retry_after_is_honoured(service: Any, steps: Any, value: str) -> None:
    if value == "date":
        value = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 2))
    service.steps = [steps.status(429, headers={"Retry-After": value})]
    transport = Transport(f"http://{service.address}", None, Deadlines(backoff=0.001), 1, "give up")
    started = time.monotonic()
    transport.request("POST", "/api/chat", {"messages": [{"content": "x"}]})
    assert time.monotonic() - started >= 0.2
    transport.close()


def test_a_retry_after_beyond_the_deadline_fails_at_once(client: Client, service: Any, steps: Any) -> None:
    service.default = steps.status(429, "quota", headers={"Retry-After": "3600"})
    started = time.monotonic()
    with pytest.raises(RequestError, match="quota"):
        ask(client)
    assert time.monotonic() - started < 1


def test_nobody_there(judge_params: Callable[..., Any], hasty: Deadlines, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:1")
    with pytest.raises(ServiceUnreachableError, match=r"nothing answers at http://127.0.0.1:1: .*OLLAMA_HOST.*offline"):
        OllamaClient(judge_params(), hasty)
    monkeypatch.setenv("OPENAI_BASE_URL", "http://user:secret@127.0.0.1:1/v1")
    client = OpenAIClient(judge_params(backend="openai"), hasty)
    with pytest.raises(ServiceUnreachableError, match="OPENAI_BASE_URL") as caught:
        ask(client)
    assert "secret" not in str(caught.value)
    client.close()


@pytest.mark.parametrize("host", ["ftp://somewhere", "http://[::1", "http://", "localhost:port"])
def test_an_address_that_is_none(judge_params: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    monkeypatch.setenv("OLLAMA_HOST", host)
    with pytest.raises(UserError, match=r"address.*OLLAMA_HOST"):
        OllamaClient(judge_params())


@pytest.mark.parametrize("host", ["127.0.0.1", "http://127.0.0.1:11434/", "[::1]", "judge.example:80"])
def test_ollama_host_may_lack_scheme_and_port(host: str) -> None:
    expected = {"127.0.0.1": "http://127.0.0.1:11434", "[::1]": "http://[::1]:11434"}
    assert _base_url(host) == expected.get(host, host if "://" in host else f"http://{host}")


def test_concurrency_from_the_environment(judge_params: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "x")
    monkeypatch.delenv("REPROTUNE_JUDGE_CONCURRENCY", raising=False)
    assert OpenAIClient(judge_params(backend="openai")).concurrency == 8
    monkeypatch.setenv("REPROTUNE_JUDGE_CONCURRENCY", "3")
    assert OpenAIClient(judge_params(backend="openai")).concurrency == 3
    monkeypatch.setenv("REPROTUNE_JUDGE_CONCURRENCY", "0")
    with pytest.raises(UserError, match="REPROTUNE_JUDGE_CONCURRENCY"):
        OpenAIClient(judge_params(backend="openai"))


# ---- Ollama ----


@pytest.fixture
def ollama(service: Any, judge_params: Callable[..., Any], hasty: Deadlines) -> Any:
    client = OllamaClient(judge_params(), hasty)
    client.prepare([question("reference", ITEM)])
    yield client
    client.close()


def test_ollama_payload(ollama: Client, service: Any, steps: Any) -> None:
    asked = question("reference", ITEM)
    ollama.ask(asked)
    (payload,) = service.calls
    size = payload["options"].pop("num_ctx")
    assert payload["options"] == {"seed": 123, "temperature": 0.0, "num_predict": 256}  # nested, or it is ignored
    assert size & (size - 1) == 0 and size >= len(asked.messages[0]["content"]) // 2 + 256
    assert (payload["truncate"], payload["stream"], payload["format"]) == (False, False, asked.schema)
    assert [warm_up["options"]["num_ctx"] for warm_up in service.warm_ups] == [size]
    assert ollama.judge["digest"] == steps.digest


def test_ollama_prompt_that_was_cut_is_refused(ollama: Client, service: Any, steps: Any) -> None:
    for tokens in (20, 1 << 20):
        service.steps = [steps.reply(steps.good, prompt_tokens=tokens)]
        with pytest.raises(RequestError, match="cut the prompt"):
            ask(ollama)


def test_ollama_without_the_model(service: Any, judge_params: Callable[..., Any]) -> None:
    with pytest.raises(UserError, match="`ollama pull mistral`"):
        OllamaClient(judge_params(model="mistral"))


def test_ollama_sends_no_schema_for_the_chapter_rubric(ollama: Client, service: Any) -> None:
    ask(ollama, "chapter")
    assert "format" not in service.calls[0]


# ---- OpenAI ----


@pytest.fixture
def openai(service: Any, judge_params: Callable[..., Any], hasty: Deadlines) -> Any:
    client = OpenAIClient(judge_params(backend="openai"), hasty)
    yield client
    client.close()


def formats(service: Any) -> list[str]:
    return [call.get("response_format", {"type": "text"})["type"] for call in service.calls]


def test_openai_reply_format_falls_back_and_stays(openai: Client, service: Any, steps: Any) -> None:
    service.steps = [steps.status(400, "unknown response_format"), steps.status(400, "unknown response_format")]
    ask(openai)
    ask(openai)
    assert formats(service) == ["json_schema", "json_object", "text", "text"]


def test_openai_one_bad_prompt_loosens_nothing(openai: Client, service: Any, steps: Any) -> None:
    service.steps = [steps.status(400, "prompt too long")] * 3
    with pytest.raises(RequestError, match="prompt too long"):
        ask(openai)
    ask(openai)
    assert formats(service)[-1] == "json_schema"


def test_openai_newer_name_of_the_token_limit(openai: Client, service: Any, steps: Any) -> None:
    service.steps = [steps.status(400, "'max_tokens' is not supported, use 'max_completion_tokens'")]
    ask(openai)
    assert "max_tokens" in service.calls[0] and service.calls[1]["max_completion_tokens"] == 256
    assert "max_tokens" not in service.calls[1]
    assert formats(service)[1] == "json_schema"


@pytest.mark.parametrize(
    ("message", "finish"), [({"content": None, "refusal": "I will not."}, "stop"), ({"content": ""}, "content_filter")]
)
def test_openai_refusals(openai: Client, service: Any, message: dict[str, Any], finish: str) -> None:
    service.default = lambda handler, request: handler.send_json(
        {"choices": [{"message": message, "finish_reason": finish}]}
    )
    assert ask(openai).finish == "refused"


def test_openai_unknown_model_or_path(openai: Client, service: Any, steps: Any) -> None:
    service.default = steps.status(404, "no such model")
    with pytest.raises(UserError, match=r"judge\.model"):
        ask(openai)


def test_openai_key_is_sent_and_never_shown(openai: Client, service: Any, steps: Any) -> None:
    service.default = steps.status(400, "your header was Bearer sk-very-secret")
    with pytest.raises(RequestError) as caught:
        ask(openai)
    assert service.headers[0]["Authorization"] == "Bearer sk-very-secret"
    assert "sk-very-secret" not in str(caught.value)


def test_openai_key_is_asked_for(judge_params: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    with pytest.raises(UserError, match="OPENAI_API_KEY is not set"):
        OpenAIClient(judge_params(backend="openai"))


def test_question_is_not_changed_by_asking(client: Client) -> None:
    asked: Question = question("reference", ITEM)
    client.ask(asked)
    assert asked == question("reference", ITEM)
