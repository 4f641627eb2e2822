"""A judge's service on loopback that speaks both protocols and fails on demand."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from reprotune.judging.service.transport import Deadlines
from reprotune.params.sections.judge import JudgeParams

ROOT = Path(__file__).resolve().parents[2]
DIGEST = "sha256:365c0bd3c000"
GOOD = '{"reasoning": "Close to the reference.", "score": 70}'

Step = Callable[["Handler", dict[str, Any]], None]
"""What the service does with one chat request."""


class Handler(BaseHTTPRequestHandler):
    """Answers model look-ups by itself and chat requests as the script says."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: "ScriptedJudge"

    def log_message(self, format: str, *args: object) -> None:
        """Keep the test output clean."""

    def do_GET(self) -> None:
        self.send_json({"models": [{"name": "llama3:latest", "digest": DIGEST}]} if self.path == "/api/tags" else {})

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if not request["messages"]:
            self.server.warm_ups.append(request)
            self.send_json({"message": {"role": "assistant", "content": ""}, "done_reason": "load"})
            return
        with self.server.lock:
            self.server.calls.append(request)
            self.server.headers.append(dict(self.headers))
            step = self.server.next_step(request)
        step(self, request)

    def send_json(self, value: Any, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self.send_body(json.dumps(value).encode(), status, headers)

    def send_body(self, body: bytes, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def send_reply(self, request: dict[str, Any], text: str, finish: str, prompt_tokens: int | None) -> None:
        if prompt_tokens is None:
            prompt_tokens = sum(len(message["content"].encode()) for message in request["messages"]) // 4
        message = {"role": "assistant", "content": text}
        if self.path == "/api/chat":
            counts = {"prompt_eval_count": prompt_tokens, "eval_count": 9}
            self.send_json({"message": message, "done": True, "done_reason": finish, **counts})
        else:
            usage = {"prompt_tokens": prompt_tokens, "completion_tokens": 9}
            self.send_json({"choices": [{"message": message, "finish_reason": finish}], "usage": usage})


class ScriptedJudge(ThreadingHTTPServer):
    """Does what its script says about a question, then `default` for good; keeps every chat request in `calls`.

    Threads that ask several questions overtake one another, even one at a time. So the script goes by question:
    `scripts` has the steps for the question that contains a text, in order. `steps` serve the tests that ask only one.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.lock = threading.Lock()
        self.steps: list[Step] = []
        self.scripts: dict[str, list[Step]] = {}
        self.served_by_steps: set[str] = set()
        self.default: Step = reply(GOOD)
        self.calls: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.warm_ups: list[dict[str, Any]] = []

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_port}"

    def next_step(self, request: dict[str, Any]) -> Step:
        """Take the next step for the question that a request is about (a repair request is about the same one)."""
        question = request["messages"][0]["content"]
        steps = next((steps for text, steps in self.scripts.items() if text in question), None)
        if steps is None:
            steps = self.steps
            if steps:
                self.served_by_steps.add(question)
        return steps.pop(0) if steps else self.default

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that was killed or gave up is part of the script."""


def reply(text: str, finish: str = "stop", prompt_tokens: int | None = None, delay: float = 0) -> Step:
    """Answer with `text`."""

    def step(handler: Handler, request: dict[str, Any]) -> None:
        time.sleep(delay)
        handler.send_reply(request, text, finish, prompt_tokens)

    return step


def status(code: int, message: str = "no", headers: dict[str, str] | None = None) -> Step:
    """Answer with an HTTP error."""
    return lambda handler, request: handler.send_json({"error": {"message": message}}, code, headers)


def body(content: bytes) -> Step:
    """Answer 200 with these bytes."""
    return lambda handler, request: handler.send_body(content)


def drop(handler: Handler, request: dict[str, Any]) -> None:
    """Promise a long body, send a little of it and hang up."""
    handler.send_body(b'{"message": ', headers={"Content-Length": "4000"})
    handler.wfile.flush()
    handler.connection.close()
    handler.close_connection = True


def hang_up(handler: Handler, request: dict[str, Any]) -> None:
    """Close the connection without an answer."""
    handler.connection.close()
    handler.close_connection = True


def trickle(handler: Handler, request: dict[str, Any]) -> None:
    """Send one byte at a time, endlessly as far as the client can tell."""
    handler.send_body(b"", headers={"Content-Length": "4000"})
    for _ in range(40):
        handler.wfile.write(b" ")
        time.sleep(0.05)


class Steps:
    """The script's vocabulary, as a fixture: test modules cannot import a conftest."""

    reply, status, body = staticmethod(reply), staticmethod(status), staticmethod(body)
    drop, hang_up, trickle = staticmethod(drop), staticmethod(hang_up), staticmethod(trickle)
    good = GOOD
    digest = DIGEST


@pytest.fixture
def steps() -> type[Steps]:
    return Steps


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedJudge]:
    """A running service that both backends' environment variables point to."""
    with ScriptedJudge() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        monkeypatch.setenv("OLLAMA_HOST", server.address)
        monkeypatch.setenv("OPENAI_BASE_URL", f"http://{server.address}/v1")
        monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.delenv("REPROTUNE_JUDGE_CONCURRENCY", raising=False)
        yield server
        server.shutdown()
        thread.join()
        assert len(server.served_by_steps) <= 1, "questions arrive in any order: give each its own steps, in `scripts`"


@pytest.fixture
def hasty() -> Deadlines:
    """Deadlines for tests: seconds become tenths."""
    return Deadlines(connect=1, read=0.3, total=3, attempts=3, backoff=0.01, longest_backoff=0.05)


@pytest.fixture
def judge_params() -> Callable[..., JudgeParams]:
    """Makes a section `judge` with some keys replaced."""

    def make(**changes: Any) -> JudgeParams:
        values: dict[str, Any] = {
            "backend": "ollama",
            "model": "llama3",
            "when_other_model": "fail",
            "rubric": "reference",
            "temperature": 0.0,
            "seed": 123,
            "max_tokens": 256,
            "repeats": 1,
            "expected_score": False,
            "mapping": None,
            "pairwise": False,
            "canaries": 0,
            "min_coverage": 0.95,
            "min_canary_pass": 0.5,
        }
        return JudgeParams.model_validate(values | changes)

    return make


@pytest.fixture
def run_judge_stage() -> Callable[[Path, str], "subprocess.CompletedProcess[str]"]:
    """Runs the stage in a project's folder, as DVC does, against the OpenAI-compatible service at a base URL."""

    def run(project: Path, address: str) -> "subprocess.CompletedProcess[str]":
        paths = {"DVC_ROOT": str(project), "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'src'}"}
        service = {"OPENAI_BASE_URL": address, "NO_PROXY": "127.0.0.1", "REPROTUNE_JUDGE_CONCURRENCY": "1"}
        return subprocess.run(
            [sys.executable, "-m", "stages.judge"],
            cwd=project,
            env={**os.environ, **paths, **service},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    return run
