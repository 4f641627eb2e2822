"""Ends requests that outlast their deadline, and those that nobody waits for any more.

A socket's own timeout starts anew with every byte, so a server that drips its headers outlasts it; and a thread that
waits for a byte hears nothing of Ctrl-C. Shutting the socket down wakes it.
"""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

SECONDS = 0.1
"""How often deadlines are looked at."""


@dataclass
class _Request:
    """A request under way in one thread."""

    ends: float
    """On the clock of `time.monotonic`."""
    connected: socket.socket | None = None


class Watch:
    """The requests of one service that are under way, by thread; a request has one thread and a thread one request."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: dict[int, _Request] = {}
        self._closed = threading.Event()
        self._watcher: threading.Thread | None = None

    def watched(self, connection: Any) -> Any:
        """Return a subclass of urllib3's connection class whose sockets this watch knows once they wait for a reply."""
        watch = self

        class Watched(connection):
            def getresponse(self) -> Any:
                watch._waits_on(self.sock)
                return super().getresponse()

        return Watched

    @contextmanager
    def until(self, ends: float) -> Iterator[None]:
        """Shut down the socket of the request that this thread makes if it is not done at `ends` (monotonic clock)."""
        thread = threading.get_ident()
        with self._lock:
            self._requests[thread] = _Request(ends)
            if self._watcher is None:
                self._watcher = threading.Thread(target=self._watch, name="deadlines", daemon=True)
                self._watcher.start()
        try:
            yield
        finally:
            with self._lock:
                del self._requests[thread]

    def end_all(self) -> None:
        """Shut down the sockets of all requests, now and from now on."""
        self._closed.set()
        self._end(float("inf"))

    def _waits_on(self, connected: socket.socket) -> None:
        with self._lock:
            if request := self._requests.get(threading.get_ident()):
                request.connected = connected
        if self._closed.is_set():
            _shut_down(connected)

    def _watch(self) -> None:
        while not self._closed.wait(SECONDS):
            self._end(time.monotonic())

    def _end(self, moment: float) -> None:
        """Shut down the sockets of all requests whose deadline is before `moment`."""
        with self._lock:
            late = [request for request in self._requests.values() if request.ends < moment]
        for request in late:
            if request.connected is not None:
                _shut_down(request.connected)


def _shut_down(connected: socket.socket) -> None:
    with suppress(OSError):  # it may have been closed meanwhile
        # The plain socket's method: that of a TLS socket takes its state away from the thread that reads.
        socket.socket.shutdown(connected, socket.SHUT_RDWR)
