"""Both clients against a service that fails in every way that users have reported."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from reprotune.errors import UserError
from reprotune.judging.questions.prompts import Item, Question, question
from reprotune.judging.service.collect import Client
from reprotune.judging.service.ollama import OllamaClient
from reprotune.judging.service.openai import OpenAIClient
from reprotune.judging.service.transport import Deadlines, RequestError, ServiceUnreachableError

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


def test_question_is_not_changed_by_asking(client: Client) -> None:
    asked: Question = question("reference", ITEM)
    client.ask(asked)
    assert asked == question("reference", ITEM)
