"""HTTP for judges: deadlines, Retry-After, addresses, concurrency."""

import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from reprotune.errors import UserError
from reprotune.judging.service.ollama import OllamaClient
from reprotune.judging.service.openai import OpenAIClient
from reprotune.judging.service.transport import (
    Deadlines,
    RequestError,
    Transport,
    _retry_after,
    concurrency,
)


def test_trickling_server_cannot_outlast_the_total_deadline(service: Any, steps: Any) -> None:
    service.default = steps.trickle
    transport = Transport(f"http://{service.address}", None, Deadlines(total=0.4, backoff=0.01), 1, "give up")
    started = time.monotonic()
    with pytest.raises(RequestError, match="in time"):
        transport.request("POST", "/api/chat", {"messages": [{"content": "x"}]})
    assert time.monotonic() - started < 1
    transport.close()


@pytest.mark.parametrize("value", ["1", "date"])
def test_retry_after_is_honoured(service: Any, steps: Any, value: str) -> None:
    if value == "date":
        value = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 2))
    service.steps = [steps.status(429, headers={"Retry-After": value})]
    transport = Transport(f"http://{service.address}", None, Deadlines(backoff=0.001), 1, "give up")
    started = time.monotonic()
    transport.request("POST", "/api/chat", {"messages": [{"content": "x"}]})
    assert time.monotonic() - started >= 0.9
    transport.close()


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("7", 7),
        (" 7 ", 7),
        ("Mon, 01 Jan 2024 00:00:00 GMT", 0),  # a moment that has passed
        ("0.5", None),  # the standard knows whole seconds only
        ("-1", None),
        ("nan", None),
        ("soon", None),
        ("", None),
        ("9" * 5000, None),
        ("Fri, 31 Dec 99999 23:59:59 GMT", None),
        (f"1 Jan {'9' * 400} 00:00:00", None),
    ],
)
def test_retry_after_is_read_or_ignored(value: str | None, seconds: float | None) -> None:
    assert _retry_after(value) == seconds


def test_a_hostile_retry_after_does_not_end_the_run(service: Any, steps: Any) -> None:
    service.steps = [steps.status(503, headers={"Retry-After": f"1 Jan {'9' * 400} 00:00:00"})]
    transport = Transport(f"http://{service.address}", None, Deadlines(backoff=0.001), 1, "give up")
    assert transport.request("POST", "/api/chat", {"messages": [{"content": "x"}]})["message"]
    transport.close()


@pytest.mark.parametrize("host", ["ftp://somewhere", "http://[::1", "http://", "localhost:port"])
def test_an_address_that_is_none(judge_params: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    monkeypatch.setenv("OLLAMA_HOST", host)
    with pytest.raises(UserError, match=r"address.*OLLAMA_HOST"):
        OllamaClient(judge_params())


def test_concurrency_from_the_environment(judge_params: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "x")
    monkeypatch.delenv("REPROTUNE_JUDGE_CONCURRENCY", raising=False)
    assert OpenAIClient(judge_params(backend="openai")).concurrency == 8
    monkeypatch.setenv("REPROTUNE_JUDGE_CONCURRENCY", "3")
    assert OpenAIClient(judge_params(backend="openai")).concurrency == 3
    monkeypatch.setenv("REPROTUNE_JUDGE_CONCURRENCY", "0")
    with pytest.raises(UserError, match="REPROTUNE_JUDGE_CONCURRENCY"):
        OpenAIClient(judge_params(backend="openai"))


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("http://127.0.0.1:11434", "local"),
        ("http://[::1]:80/v1", "local"),
        ("http://192.168.0.7/v1", "local"),
        ("http://localhost/v1", "local"),
        ("http://gpu-box:8000/v1", "local"),
        ("http://box.local/v1", "local"),
        ("https://api.openai.com/v1", "remote"),
        ("http://8.8.8.8/v1", "remote"),
    ],
)
def test_where_a_service_is(address: str, place: str) -> None:
    transport = Transport(address, None, Deadlines(), 1, "give up")
    assert transport.place == place
    transport.close()


class DrippingServer(threading.Thread):
    """Answers every connection with `start`, then with a piece of `drops` each twentieth of a second, for 5 seconds."""

    def __init__(self, start: bytes, drops: bytes) -> None:
        super().__init__(daemon=True)
        self.answer = start, drops
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self.listener.getsockname()[1]}"

    def run(self) -> None:
        start, drops = self.answer
        with suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                with connection:
                    connection.sendall(start)
                    for _ in range(100):
                        connection.sendall(drops)
                        time.sleep(0.05)


@pytest.mark.parametrize(
    ("start", "drops"),
    [
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (b"HTTP/1.1 200 OK\r\nX-Slow: ", b"x"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4000\r\n", b" "),
    ],
    ids=["continue", "headers", "chunks"],
)
def test_no_way_of_dripping_outlasts_the_total_deadline(start: bytes, drops: bytes) -> None:
    server = DrippingServer(start, drops)
    server.start()
    transport = Transport(server.address, None, Deadlines(total=0.4, attempts=1), 1, "give up")
    started = time.monotonic()
    with pytest.raises(RequestError, match="did not reply in time"):
        transport.request("POST", "/api/chat", {})
    assert time.monotonic() - started < 1
    transport.close()
    server.listener.close()


def test_closing_ends_a_request_that_waits(service: Any, steps: Any) -> None:
    """Ctrl-C closes the transport while other threads wait for replies."""
    service.default = steps.reply(steps.good, delay=3)
    transport = Transport(f"http://{service.address}", None, Deadlines(), 1, "give up")
    threading.Timer(0.2, transport.close).start()
    started = time.monotonic()
    with pytest.raises(RequestError):
        transport.request("POST", "/api/chat", {"messages": [{"content": "x"}]})
    assert time.monotonic() - started < 1


def test_a_redirect_says_where_to(service: Any, steps: Any) -> None:
    service.default = steps.status(302, headers={"Location": "https://key:secret@example.org/v1?token=1"})
    transport = Transport(f"http://{service.address}", None, Deadlines(), 1, "give up")
    with pytest.raises(RequestError, match=r"HTTP 302: the service sends us on to example\.org,"):
        transport.request("POST", "/api/chat", {"messages": [{"content": "x"}]})
    transport.close()


@pytest.mark.parametrize("value", ["0", "-1", "1.5", "many", "1025", "9" * 20])
def test_concurrency_has_bounds(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPROTUNE_JUDGE_CONCURRENCY", value)
    with pytest.raises(UserError, match="should be a whole number from 1 to 1024"):
        concurrency(default=1)
