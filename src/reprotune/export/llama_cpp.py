"""llama.cpp on a GGUF file, in a process of its own, from its bindings for Python (the package xllamacpp).

They are no dependency of Reprotune; where they are installed, they tell whether a file works.
"""

import importlib.metadata
import importlib.util
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

from reprotune.dataset.templates.chat import Message
from reprotune.errors import UserError

PACKAGE = "xllamacpp"
START_SECONDS = 120
ANSWER_SECONDS = 600

SERVER = """
import sys, xllamacpp
params = xllamacpp.CommonParams()
params.model.path, params.port = sys.argv[1], 0
params.n_ctx, params.cpuparams.n_threads = int(sys.argv[2]), int(sys.argv[3])
params.n_parallel, params.warmup, params.use_jinja = 1, False, True
server = xllamacpp.Server(params)
print("listening:", server.listening_address, flush=True)
sys.stdin.read()
"""


def version() -> str | None:
    """Return name and version of the bindings; None where they are not installed."""
    if importlib.util.find_spec(PACKAGE) is None:
        return None
    return f"{PACKAGE} {importlib.metadata.version(PACKAGE)}"


class LlamaCpp:
    """A server of llama.cpp at work."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._session = requests.Session()
        self._session.trust_env = False  # no proxy stands between this machine and itself

    def prompt(self, messages: Sequence[Message]) -> str:
        """Return the prompt that the file's own template makes."""
        return str(self._post("/apply-template", {"messages": list(messages)})["prompt"])

    def ids(self, prompt: str) -> list[int]:
        """Return the ids that the model reads for a prompt."""
        body = {"content": prompt, "add_special": True, "parse_special": True}
        return [int(token) for token in self._post("/tokenize", body)["tokens"]]

    def answer(self, messages: Sequence[Message], most_tokens: int) -> str:
        """Return the greedy answer to messages."""
        body = {"messages": list(messages), "temperature": 0, "max_tokens": most_tokens, "reasoning_format": "none"}
        return str(self._post("/v1/chat/completions", body)["choices"][0]["message"]["content"])

    def is_ready(self) -> bool:
        """Tell whether the model is loaded."""
        return self._session.get(f"{self._address}/health", timeout=ANSWER_SECONDS).ok

    def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        reply = self._session.post(f"{self._address}{path}", json=body, timeout=ANSWER_SECONDS)
        reply.raise_for_status()
        found: dict[str, Any] = reply.json()
        return found


@contextmanager
def serving(model: Path, context: int) -> Iterator[LlamaCpp]:
    """Yield llama.cpp with a GGUF file loaded, for texts of up to `context` tokens; it ends with the block.

    Raises `UserError` with its last words where it cannot load the file, or breaks down at work.
    """
    threads = max(1, (os.cpu_count() or 1) // 2)  # its threads wait by spinning, and share the machine with others
    command = [sys.executable, "-c", SERVER, str(model), str(context), str(threads)]
    with (
        tempfile.TemporaryFile("w+", errors="replace") as log,
        subprocess.Popen(  # noqa: S603 - this interpreter, on a file of ours
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True
        ) as process,
    ):
        try:
            yield _ready(process)
        except (OSError, ValueError, KeyError) as error:
            log.seek(0)
            said = [line for line in log.read().splitlines() if line.strip()]
            raise UserError(
                f"llama.cpp does not work with {model.name} ({said[-1] if said else error}): set "
                "export.formats to [], or install another version of xllamacpp"
            ) from error
        finally:
            process.kill()


def _ready(process: subprocess.Popen[str]) -> LlamaCpp:
    line = process.stdout.readline() if process.stdout else ""
    if not line.startswith("listening:"):
        raise ValueError("it does not start")
    server = LlamaCpp(line.split()[1])
    deadline = time.monotonic() + START_SECONDS
    while not server.is_ready():
        if time.monotonic() > deadline:
            raise ValueError(f"it takes more than {START_SECONDS} s to start")
        time.sleep(0.1)
    return server
