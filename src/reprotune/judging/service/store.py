"""Every reply a judge ever gave, kept by the content of the question, so that nothing is asked twice.

One JSON object a line in an append-only file. A reply is handed to the system before the judge is asked anything in
its place, and forced to the disk before its verdict is used: a killed run, or a machine that loses power, loses the
calls in flight and nothing else. Copying the file to another machine (or concatenating two) hands the replies over.
"""

import hashlib
import json
import os
import threading
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from reprotune.console import note
from reprotune.judging.questions.probabilities import TokenTail
from reprotune.judging.questions.prompts import Question

SCHEMA_VERSION = 1


class Reply(NamedTuple):
    """What a service answered."""

    text: str
    finish: str
    """`stop`, `length` (cut off at the token limit) or `refused` (the service's own filter)."""
    prompt_tokens: int | None = None
    reply_tokens: int | None = None
    tail: TokenTail | None = None
    """The last tokens with their likeliest alternatives, where they were asked for and told."""


def question_key(judge: dict[str, Any], question: Question, repeat: int = 0) -> str:
    """Return the SHA-256 over everything that shapes a reply.

    `judge` holds backend, model, digest and sampling options. The service's address is not part of it: moving a
    model to another host changes no answer.
    """
    content = {
        "version": SCHEMA_VERSION,
        "judge": judge,
        "messages": question.messages,
        "schema": question.schema,
        "repeat": repeat,
    }
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


class ReplyStore:
    """Replies by key, in memory and in an append-only file; safe for threads. Used as a context manager."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._disk_lock = threading.Lock()
        self._written = 0
        self._on_disk = 0
        self._replies: dict[str, Reply] = {}

    def __enter__(self) -> Self:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self._path.open("a+b", buffering=0)
        self._load()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def get(self, key: str) -> Reply | None:
        """Return the kept reply, if there is one."""
        return self._replies.get(key)

    def put(self, key: str, reply: Reply, judge: dict[str, Any]) -> None:
        """Keep a reply; when this returns it outlives this process. `judge` is written beside it for a reader."""
        line = json.dumps({"key": key, "judge": judge, "reply": reply._asdict()}, sort_keys=True) + "\n"
        with self._lock:
            if self._replies.setdefault(key, reply) is reply:
                self._write(line.encode())
                self._written += 1

    def sync(self) -> None:
        """Return when everything that was put so far is on the disk; threads that wait share one write."""
        wanted = self._written
        with self._disk_lock:
            if self._on_disk >= wanted:
                return
            reached = self._written
            os.fsync(self._file.fileno())
            self._on_disk = reached

    def _write(self, content: bytes) -> None:
        while content:  # a write without a buffer may take a part only
            content = content[self._file.write(content) :]

    def _load(self) -> None:
        """Read the file; a line that a kill cut in half is passed over, and what follows starts a new line."""
        line, unreadable = b"\n", 0
        with self._path.open("rb") as file:
            for line in file:
                try:
                    entry = json.loads(line)
                    self._replies.setdefault(entry["key"], Reply(**entry["reply"]))
                except (ValueError, TypeError, KeyError):
                    unreadable += bool(line.strip())
        if not line.endswith(b"\n"):
            self._write(b"\n")
        if unreadable:
            note(f"judge: {unreadable} unreadable line(s) in {self._path} passed over; their questions are asked again")
