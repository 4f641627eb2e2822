"""Every reply a judge ever gave, kept by the content of the question, so that nothing is asked twice.

The file is append-only, with one JSON object per line. A reply is written before its thread asks anything else, and
forced to the disk before its verdict is used: a killed run, or a power cut, loses the calls in flight and nothing
else. A second process waits until the first is done, so that the two do not pay for the same replies. To take the
replies to another machine, copy the file, or concatenate two.
"""

import fcntl
import hashlib
import json
import os
import threading
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from pydantic import BaseModel, ConfigDict

from reprotune.console import note
from reprotune.judging.questions.probabilities import TokenTail
from reprotune.judging.questions.prompts import Question
from reprotune.untrusted import clipped

SCHEMA_VERSION = 1
LONGEST_TEXT = 32_768
"""Characters of a reply that are kept; of a longer one, its beginning and its end."""
KEPT_AT_THE_START = 20_000
"""Includes what goes back with a request for repair, so that the request stays the same."""
KEPT_AT_THE_END = 12_000
"""Includes all that is searched for the verdict, which therefore stays the same."""
LONGEST_NAME = 200
"""Characters of a fingerprint or a model's name that are kept."""
LONGEST_LINE = 32 << 20
"""Bytes of a line of the file: more than any reply of 8 MiB takes that an earlier version kept whole."""


class Reply(NamedTuple):
    """What a service answered."""

    text: str
    finish: str
    """`stop`, `length` (cut off at the token limit) or `refused` (the service's own filter)."""
    prompt_tokens: int | None = None
    reply_tokens: int | None = None
    tail: TokenTail | None = None
    """The last tokens with their likeliest alternatives, if they were asked for and the service sent them."""
    fingerprint: str | None = None
    """What the service says of its build and configuration, if it says anything (`system_fingerprint`)."""
    refused: list[str] | None = None
    """Options that were left out because the service refuses them."""
    served: str | None = None
    """The model that the service says it asked, if it says so."""


class _Entry(BaseModel):
    """What a line of the file must hold; what else it holds is for human readers."""

    model_config = ConfigDict(strict=True)

    key: str
    reply: Reply


def shortened(reply: Reply) -> Reply:
    """Return a reply without the middle of a very long text, which says how much is left out."""
    text = reply.text
    if len(text) > LONGEST_TEXT:
        left_out = len(text) - KEPT_AT_THE_START - KEPT_AT_THE_END
        gap = f"\n[{left_out} characters are left out here]\n"
        text = text[:KEPT_AT_THE_START] + gap + text[-KEPT_AT_THE_END:]
    return reply._replace(
        text=text,
        fingerprint=reply.fingerprint and clipped(reply.fingerprint, LONGEST_NAME),
        served=reply.served and clipped(reply.served, LONGEST_NAME),
    )


def token_count(value: Any) -> int | None:
    """Return a number of tokens as a service reports it; null for anything but an integer."""
    return value if type(value) is int else None


def question_key(judge: dict[str, Any], question: Question, repeat: int = 0) -> str:
    """Return the SHA-256 of everything that shapes a reply.

    `judge` holds backend, model, digest, options, and whether the address is local or remote. A model with a digest
    gives the same answers on any host; without one, the same name may stand for one model here and another there.
    """
    if judge["digest"]:
        judge = {name: value for name, value in judge.items() if name != "address"}
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
    """Replies by key, in memory and in an append-only file; thread-safe. Used as a context manager."""

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
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            note(f"judge: another process is asking (it holds {self._path}); waiting for its replies")
            fcntl.flock(self._file, fcntl.LOCK_EX)
        self._load()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def get(self, key: str) -> Reply | None:
        """Return the reply to a question; null if there is none."""
        return self._replies.get(key)

    def put(self, key: str, reply: Reply, judge: dict[str, Any]) -> Reply:
        """Keep a reply and return what is kept of it; once this returns, that outlives the process.

        `judge` goes into the file for human readers.
        """
        reply = shortened(reply)
        line = json.dumps({"key": key, "judge": judge, "reply": reply._asdict()}, sort_keys=True) + "\n"
        with self._lock:
            if self._replies.setdefault(key, reply) is reply:
                self._write(line.encode())
                self._written += 1
            return self._replies[key]

    def sync(self) -> None:
        """Return when everything put so far is on the disk; threads that wait share one write."""
        wanted = self._written
        with self._disk_lock:
            if self._on_disk >= wanted:
                return
            reached = self._written
            os.fsync(self._file.fileno())
            self._on_disk = reached

    def _write(self, content: bytes) -> None:
        while content:  # an unbuffered write may write only a part
            content = content[self._file.write(content) :]

    def _load(self) -> None:
        """Read the file; a line cut short by a kill is skipped, and what is written next starts on a new line."""
        last, unreadable, inside = b"\n", 0, False
        with self._path.open("rb") as file:
            while line := file.readline(LONGEST_LINE):
                begins, inside, last = not inside, not line.endswith(b"\n"), line
                if not begins:  # the rest of a line that is too long
                    continue
                try:
                    entry = _Entry.model_validate_json(line)
                    self._replies.setdefault(entry.key, shortened(entry.reply))
                except ValueError:
                    unreadable += bool(line.strip())
        if not last.endswith(b"\n"):
            self._write(b"\n")
        if unreadable:
            note(f"judge: skipped {unreadable} unreadable line(s) in {self._path}; their questions are asked again")
