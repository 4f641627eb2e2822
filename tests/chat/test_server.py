"""The server as real clients meet it, and as nobody should."""

import http.client
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import openai
import pytest
import requests

from reprotune.chat.guard import KEY_VARIABLE, checked_key
from reprotune.chat.models import Model
from reprotune.errors import UserError
from reprotune.generation.decoding import DecodingSettings, answer_text, generate
from reprotune.judging.questions.prompts import Question
from reprotune.judging.service.openai import OpenAIClient
from reprotune.params.sections.judge import JudgeParams
from tests.builders.chat_project import CONTEXT, body, running

CHAT = "/v1/chat/completions"
TEXT = "/v1/completions"


@pytest.fixture(scope="module")
def client(address: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0, timeout=120) as client:
        yield client


def expected(model: Model, content: str, tokens: int, **how: Any) -> str:
    prompt = model.prompts.of_messages([{"role": "user", "content": content}])
    settings = DecodingSettings(tokens, 1, model.tokenizer.end_of_text, **how)
    answer = generate(model.network, [prompt.ids], settings)[0]
    return answer_text(model.tokenizer.decode(answer.token_ids), prompt.header)


def post(address: str, path: str, value: Any, **options: Any) -> requests.Response:
    return requests.post(f"{address}{path}", json=value, timeout=120, **options)


def fault(response: requests.Response) -> tuple[int, str]:
    error = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return response.status_code, error["message"]


def test_openai_client(client: openai.OpenAI, model: Model) -> None:
    assert [one.id for one in client.models.list()] == ["base", "finetuned"]
    assert client.models.retrieve("base").id == "base"
    said: Any = [{"role": "user", "content": [{"type": "text", "text": "Name a "}, {"type": "text", "text": "fish."}]}]
    whole = client.chat.completions.create(model="finetuned", messages=said, max_tokens=12, temperature=0)
    assert whole.choices[0].message.content == expected(model, "Name a fish.", 12)
    assert whole.choices[0].finish_reason == "length"
    assert whole.usage is not None
    assert whole.usage.completion_tokens == 12
    stream = client.chat.completions.create(
        model="finetuned",
        messages=said,
        max_completion_tokens=12,
        temperature=0,
        stream=True,
        stream_options={"include_usage": True},
        logprobs=True,
        top_logprobs=2,
    )
    chunks = list(stream)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == expected(
        model, "Name a fish.", 12
    )
    assert len(chunks) > 5
    assert chunks[-1].usage == whole.usage
    scores = [
        score
        for chunk in chunks
        for choice in chunk.choices
        if choice.logprobs
        for score in choice.logprobs.content or []
    ]
    assert len(scores) == 12
    assert all(score.logprob == score.top_logprobs[0].logprob for score in scores)


def test_samples_follow_the_seed(client: openai.OpenAI, model: Model) -> None:
    said: Any = [{"role": "user", "content": "Name a fish."}]
    how: Any = {"model": "finetuned", "messages": said, "max_tokens": 15, "temperature": 1.3, "top_p": 0.9}
    answers = [client.chat.completions.create(seed=seed, **how).choices[0].message.content for seed in (3, 3, 4)]
    assert answers[0] == answers[1] == expected(model, "Name a fish.", 15, temperature=1.3, top_p=0.9, seed=3)
    assert answers[2] != answers[0]


def test_completions_continue_text_and_ids(client: openai.OpenAI, model: Model) -> None:
    """No template comes in; with echo and log-probabilities as a harness for benchmarks asks for them."""
    text = "The capital of <|endoftext|> is"
    ids = model.tokenizer.encode_batch([text])[0]
    settings = DecodingSettings(5, 1, model.tokenizer.end_of_text)
    answer = model.tokenizer.decode(generate(model.network, [ids], settings)[0].token_ids)
    several: Any = [ids, ids[:4]]
    for prompt in (text, [text, text[:9]], ids, several):
        made = client.completions.create(model="finetuned", prompt=prompt, max_tokens=5, temperature=0)
        assert made.choices[0].text == answer
        assert len(made.choices) == (2 if prompt in ([text, text[:9]], several) else 1)
    for most in (0, 1):
        scored = client.completions.create(
            model="finetuned", prompt=several, max_tokens=most, temperature=0, echo=True, logprobs=1
        )
        choice = scored.choices[0]
        assert choice.text.startswith(text)
        assert choice.logprobs is not None
        assert len(choice.logprobs.tokens or []) == len(ids) + most
        assert "".join(choice.logprobs.tokens or []) == choice.text
        values = choice.logprobs.token_logprobs or []
        assert values[0] is None
        assert all(value < 0 for value in values[1:])
    streamed = list(client.completions.create(model="finetuned", prompt=text, max_tokens=5, echo=True, stream=True))
    assert "".join(chunk.choices[0].text for chunk in streamed) == text + answer
    assert streamed[-1].choices[0].finish_reason == "length"


def test_stop_strings_end_an_answer(client: openai.OpenAI, model: Model) -> None:
    said: Any = [{"role": "user", "content": "Name a fish."}]
    whole = expected(model, "Name a fish.", 12)
    stop = whole[5:8]
    made = client.chat.completions.create(model="finetuned", messages=said, max_tokens=12, stop=["never", stop])
    assert made.choices[0].message.content == whole[: whole.index(stop)].rstrip()
    assert made.choices[0].finish_reason == "stop"


def test_our_own_judge_client(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It asks for JSON first, is refused, and takes what comes."""
    monkeypatch.setenv("OPENAI_BASE_URL", f"{address}/v1")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    params = JudgeParams.load("judge").model_copy(update={"backend": "openai", "model": "finetuned", "max_tokens": 5})
    judge = OpenAIClient(params)
    judge.reach()
    question = Question(({"role": "user", "content": "Score this from 0 to 100: yes"},), {"type": "object"}, "")
    reply = judge.ask(question)
    assert reply.text
    assert reply.finish == "length"
    judge.close()


REFUSED = [
    ({}, 400, "model"),
    ({"messages": []}, 400, "messages"),
    ({"model": "gpt-4"}, 404, "there is no model 'gpt-4'"),
    ({"n": 2}, 400, "n is not supported"),
    ({"tools": [{}]}, 400, "tools is not supported"),
    ({"temprature": 1}, 400, "temprature is not known"),
    ({"temperature": "hot"}, 400, "temperature"),
    ({"temperature": -1}, 400, "temperature"),
    ({"top_p": 0}, 400, "top_p"),
    ({"stop": [""]}, 400, "stop"),
    ({"max_tokens": 1.5}, 400, "max_tokens"),
    ({"logprobs": True, "top_logprobs": 21}, 400, "top_logprobs"),
    ({"messages": [{"role": "user", "content": "x " * 600}]}, 400, f"the model reads {CONTEXT}"),
    ({"messages": [{"role": "user", "content": "x" * 2_000_000}]}, 413, "more than 1 MB"),
    ({"messages": [{"role": "system", "content": "x"}, {"role": "user", "content": "x"}]}, 400, "system message"),
]


@pytest.mark.parametrize(("change", "status", "said"), REFUSED)
def test_what_cannot_be_done_is_refused(address: str, change: dict[str, Any], status: int, said: str) -> None:
    found = fault(post(address, CHAT, body() | change if change else {}))
    assert found[0] == status
    assert said in found[1]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "not valid JSON"),
        (b"{", "not valid JSON"),
        (b"[]", "the body"),
        (b"\xff\xfe", "not UTF-8"),
        (b'{"model": "base", "model": "finetuned"}', "occurs twice"),
        (b'{"model": "finetuned", "messages": [{"role": "user", "content": "\\ud800"}]}', "surrogate"),
        (b'{"temperature": NaN}', "NaN"),
        (b"[" * 100_000, "nested too deep"),
        (b'{"seed": ' + b"9" * 5000 + b"}", "whole number of 5000"),
    ],
)
def test_malformed_json(address: str, content: bytes, said: str) -> None:
    headers = {"content-type": "application/json"}
    found = fault(requests.post(f"{address}{CHAT}", data=content, headers=headers, timeout=30))
    assert found[0] == 400
    assert said in found[1]


@pytest.mark.parametrize("prompt", [[], [[]], "", [60_000], [-1], ["a"] * 200, {"a": 1}])
def test_unusable_prompts(address: str, prompt: Any) -> None:
    assert fault(post(address, TEXT, {"model": "base", "prompt": prompt}))[0] == 400


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 403),
        ({"Host": "127.0.0.1.evil.example:80"}, 403),
        ({"Host": ""}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Host": "localhost"}, 200),
        ({"Host": "[::1]:9"}, 200),
    ],
)
def test_pages_of_others_are_kept_out(address: str, headers: dict[str, str], status: int) -> None:
    response = requests.get(f"{address}/v1/models", headers=headers, timeout=30)
    assert response.status_code == status
    assert response.headers["x-content-type-options"] == "nosniff"
    assert "access-control-allow-origin" not in response.headers


def test_a_form_of_another_site_is_no_request(address: str) -> None:
    """A browser sends a form without asking first; it cannot send JSON so."""
    response = requests.post(
        f"{address}{CHAT}", data=json.dumps(body()), headers={"content-type": "text/plain"}, timeout=30
    )
    assert response.status_code == 415


@pytest.mark.parametrize(
    "path",
    [
        "/../params.yaml",
        "/chat.js/../../params.yaml",
        "/%2e%2e/params.yaml",
        "//chat.js",
        "/chat.js%00",
        "/chat/",
        "/V1/models",
    ],
)
def test_paths_lead_nowhere(address: str, path: str) -> None:
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=30)
    connection.request("GET", path)
    response = connection.getresponse()
    assert response.status == 404
    assert "is not served here" in json.load(response)["error"]["message"]
    connection.close()


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 100_000 + b"\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
    ],
)
def test_what_is_no_http_is_refused(address: str, sent: bytes) -> None:
    place = urlsplit(address)
    with socket.create_connection((place.hostname or "", place.port or 0), timeout=30) as connection:
        connection.sendall(sent)
        status = connection.recv(1000).split(b" ")[1:2]
    assert status in ([b"400"], [b"403"], [b"431"])
    assert requests.get(f"{address}/health", timeout=30).ok


def test_a_client_that_leaves_frees_its_slots(address: str) -> None:
    """Both slots are taken by streams whose clients leave; the next one is answered at once, the old ones are gone."""
    for stream in (True, False):
        connections = []
        for _ in range(4):
            connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=60)
            text = json.dumps(body(max_tokens=200, stream=stream, temperature=1.0))
            connection.request("POST", CHAT, text, {"content-type": "application/json"})
            if stream and len(connections) < 2:
                connection.getresponse().read(100)
            connections.append(connection)
        for connection in connections:
            assert connection.sock is not None
            connection.sock.close()
            connection.close()
        deadline = time.monotonic() + 20
        while (load := requests.get(f"{address}/health", timeout=30).json()["models"]["finetuned"]) != {
            "running": 0,
            "waiting": 0,
        }:
            assert time.monotonic() < deadline, load
            time.sleep(0.02)


def test_many_at_once_are_answered_or_turned_away(address: str, model: Model) -> None:
    """100 clients for 2 slots and 40 places to wait."""
    content = expected(model, "Name a colour.", 20)
    found: list[requests.Response] = []

    def ask() -> None:
        found.append(post(address, CHAT, body(max_tokens=20)))

    threads = [threading.Thread(target=ask) for _ in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 100
    answered = [response.json()["choices"][0]["message"]["content"] for response in found if response.ok]
    assert set(answered) == {content}
    refused = [response for response in found if not response.ok]
    assert {response.status_code for response in refused} <= {429}
    assert all(int(response.headers["retry-after"]) > 0 for response in refused)
    assert len(answered) >= 42


def test_a_second_server_on_the_same_port(address: str, project: Path) -> None:
    port = urlsplit(address).port or 0
    with (
        pytest.raises(AssertionError, match=rf"error: port {port} of 127.0.0.1 cannot be used .*choose another --port"),
        running(project, port=port),
    ):
        pass


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_server_when_answers_are_written(project: Path, number: signal.Signals) -> None:
    with running(project) as (address, process):
        response = post(address, CHAT, body(max_tokens=60, stream=True, temperature=1.0), stream=True)
        lines = response.iter_lines()
        next(lines)
        os.kill(process.pid, number)
        assert list(lines)[-2:] == [b"data: [DONE]", b""]
        assert process.wait(30) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""


def test_a_key_is_asked_for(project: Path) -> None:
    with running(project, **{KEY_VARIABLE: "secret"}) as (address, _):
        for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": "secret"}):
            response = requests.get(f"{address}/v1/models", headers=headers, timeout=30)
            assert response.status_code == 401
            assert "finetuned" not in response.text
        with openai.OpenAI(base_url=f"{address}/v1", api_key="secret", max_retries=0, timeout=60) as client:
            assert len(list(client.models.list())) == 2


def test_keys_that_no_header_can_hold() -> None:
    assert checked_key(None) is checked_key("  ") is None
    with pytest.raises(UserError, match=KEY_VARIABLE):
        checked_key("schlüssel")
