"""Runs commands in a project's forkers, one per core, and says how each ended."""

import json
import os
import queue
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self, TypeVar, cast

from .verdicts import HANG_SECONDS, Ran

FORKER = Path(__file__).with_name("forker.py")
NOBODY = 65534
"""A user without rights, for read-only outputs where the harness is root's."""

Item = TypeVar("Item")
Value = TypeVar("Value")


class Forker:
    """One process that forks; used by one thread at a time."""

    def __init__(self, root: Path, environment: Mapping[str, str]) -> None:
        self._root = root
        self._environment = dict(environment)
        self._start()

    def _start(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(FORKER)],
            cwd=self._root,
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C is for the command that drives it, which ends it then
        )
        self._answers().readline()

    def run(self, folder: Path, words: list[str], **request: Any) -> Ran:
        """Run one command in `folder`; `request` may set environment, limits, user, seconds and stop_at."""
        environment = self._environment | {"DVC_ROOT": str(folder)} | request.pop("environment", {})
        asked = {"limits": {}, "seconds": HANG_SECONDS, **request}
        asked |= {"folder": str(folder), "words": words, "environment": environment}
        return Ran(words=words, **self._ask(asked))

    def _ask(self, asked: dict[str, Any]) -> dict[str, Any]:
        try:
            self._requests().write(json.dumps(asked) + "\n")
            self._requests().flush()
            line = self._answers().readline()
        except BrokenPipeError:
            line = ""
        if not line:  # killed with its child, by the system for want of memory
            self._start()
            return {"code": -9, "seconds": 0.0, "hung": False, "memory": 0, "stdout": "", "stderr": "the forker died"}
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        self._requests().close()
        self._process.wait(timeout=60)
        self._answers().close()

    def _requests(self) -> IO[str]:
        return cast(IO[str], self._process.stdin)

    def _answers(self) -> IO[str]:
        return cast(IO[str], self._process.stdout)


class Workers:
    """Forkers for a project, and threads that use them; a context manager."""

    def __init__(self, root: Path, environment: Mapping[str, str], count: int | None = None) -> None:
        self._count = count or os.cpu_count() or 1
        self._free: queue.SimpleQueue[Forker] = queue.SimpleQueue()
        self._all: list[Forker] = []
        self._make = lambda: Forker(root, environment)

    def __enter__(self) -> Self:
        with ThreadPoolExecutor(self._count) as threads:
            self._all = list(threads.map(lambda _: self._make(), range(self._count)))
        for forker in self._all:
            self._free.put(forker)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for forker in self._all:
            forker.close()

    def map(self, work: Callable[[Forker, Item], Value], items: Iterable[Item]) -> Iterator[Value]:
        """Yield what `work` returns for each item, in order, with as many at a time as there are forkers."""

        def one(item: Item) -> Value:
            forker = self._free.get()
            try:
                return work(forker, item)
            finally:
                self._free.put(forker)

        with ThreadPoolExecutor(self._count) as threads:
            try:
                yield from threads.map(one, items)
            finally:  # where nobody wants the rest
                threads.shutdown(cancel_futures=True)
