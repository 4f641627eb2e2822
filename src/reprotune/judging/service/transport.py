"""HTTP for judges: deadlines, retries with jitter, and errors that say what happened without giving away a secret."""

import ipaddress
import json
import os
import random
import threading
import time
from contextlib import closing
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    InvalidHeader,
    NewConnectionError,
    ProxyError,
    ReadTimeoutError,
    SSLError,
)
from urllib3.response import BaseHTTPResponse

from reprotune.errors import UserError
from reprotune.judging.service.body import LARGEST_BODY, Bodies, TooLargeError, parsed
from reprotune.judging.service.watch import Watch
from reprotune.untrusted import clipped, visible

RETRIED_STATUS = frozenset({408, 409, 425, 429})
FATAL_STATUS = frozenset({401, 402, 403})
NEVER_CONNECTED = (ConnectTimeoutError, NewConnectionError, SSLError, ProxyError)
LONGEST_ERROR = 64 << 10
"""Bytes of a body in which a message is looked for."""
MOST_AT_A_TIME = 1024
FIRST_ATTEMPTS = 2
"""Attempts before the service has answered at all: one that is not running should be reported at once."""


class RequestError(Exception):
    """One question got no usable reply in spite of all retries; others may still get theirs."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        """HTTP status, if there was one."""


class ServiceUnreachableError(UserError):
    """Nothing answers at the service's address: there is no point in going on."""


@dataclass(frozen=True)
class Deadlines:
    """How long to wait, in seconds, and how often to try."""

    connect: float = 5.0
    read: float = 300.0
    """Longest silence; a judge that does not stream is silent while it writes."""
    total: float = 900.0
    """For one question with all its retries."""
    attempts: int = 6
    backoff: float = 0.5
    """The n-th retry waits between 0 and `backoff * 2**n` seconds ("full jitter"), or what `Retry-After` says."""
    longest_backoff: float = 30.0


class Transport:
    """JSON over HTTP to one service; thread-safe.

    requests reads the environment once (proxies, certificates); the calls go directly to its urllib3 pool, because a
    Session spends more processor time on each of them than sending and reading take.
    """

    def __init__(self, base_url: str, key: str | None, deadlines: Deadlines, connections: int, remedy: str) -> None:
        self._base_url = base_url.rstrip("/")
        self.address = _shown(self._base_url, remedy)
        """The base URL without user name, password and query, so that it can be shown."""
        self.place = _place(self._base_url)
        """`local` or `remote`."""
        self._key = key
        self._deadlines = deadlines
        self._remedy = remedy
        self._adapter = HTTPAdapter(pool_maxsize=connections)
        self._headers = {"Accept": "application/json", "Content-Type": "application/json"}
        try:
            with requests.Session() as session:
                settings = session.merge_environment_settings(self._base_url, {}, None, None, None)
            request = requests.Request("POST", self._base_url, self._headers).prepare()
            pool = self._adapter.get_connection_with_tls_context(
                request, settings["verify"], settings["proxies"], settings["cert"]
            )
            self._pool = cast(urllib3.HTTPConnectionPool, pool)  # the stubs name its base class
            self._target = self._adapter.request_url(request, settings["proxies"]).rstrip("/")
        except (ValueError, OSError) as error:
            raise UserError(f"{self.address} is not the address of a service: {remedy}") from error
        if "Authorization" in request.headers:  # user and password in the address
            self._headers["Authorization"] = request.headers["Authorization"]
        if key:
            self._headers["Authorization"] = f"Bearer {key}"
        self._stopped = threading.Event()
        self._answered = False
        self._bodies = Bodies()
        self._watch = Watch()
        self._pool.ConnectionCls = self._watch.watched(self._pool.ConnectionCls)

    def close(self) -> None:
        """Close the connections and end all waits, for replies and between retries."""
        self._stopped.set()
        self._watch.end_all()
        self._adapter.close()

    def request(self, method: str, path: str, payload: Any = None, read: float | None = None) -> dict[str, Any]:
        """Send JSON and return the JSON object of the reply.

        Connection errors, broken replies and the statuses 408, 409, 425, 429 and 5xx are tried again. Raises
        `RequestError`, `ServiceUnreachableError`, or `UserError` if the service refuses access.
        """
        ends = time.monotonic() + max(self._deadlines.total, read or 0)
        attempt = 0
        while True:
            attempt += 1
            try:
                return self._once(method, path, payload, read or self._deadlines.read, ends)
            except _RetryableError as fault:
                wait = self._wait(attempt, fault.retry_after)
                attempts = self._deadlines.attempts if self._answered else FIRST_ATTEMPTS
                if attempt >= attempts or time.monotonic() + wait > ends or self._stopped.wait(wait):
                    raise fault.final from fault

    def _wait(self, attempt: int, retry_after: float | None) -> float:
        longest = min(self._deadlines.longest_backoff, self._deadlines.backoff * 2**attempt)
        return max(random.uniform(0, longest), retry_after or 0)

    def _once(self, method: str, path: str, payload: Any, read: float, ends: float) -> dict[str, Any]:
        body = None if payload is None else json.dumps(payload).encode()
        left = max(0.001, min(read, ends - time.monotonic()))
        timeout = urllib3.Timeout(connect=self._deadlines.connect, read=left)
        try:
            with self._watch.until(ends):
                response = self._pool.urlopen(
                    method,
                    self._target + path,
                    body,
                    self._headers,
                    retries=False,
                    redirect=False,
                    timeout=timeout,
                    preload_content=False,
                )
                self._answered = True
                with closing(response), self._bodies.read(response, ends) as content:
                    if time.monotonic() >= ends:  # what was cut short may look like a whole reply
                        raise TimeoutError
                    return self._checked(response, content)
        except TooLargeError as error:
            raise RequestError(f"the reply is larger than {LARGEST_BODY >> 20} MiB") from error
        except (TimeoutError, ReadTimeoutError) as error:
            raise _RetryableError(RequestError("the service did not reply in time")) from error
        except NEVER_CONNECTED as error:
            message = f"nothing answers at {self.address}: {self._remedy}"
            raise _RetryableError(ServiceUnreachableError(message)) from error
        except (OSError, HTTPError) as error:
            late = time.monotonic() >= ends
            said = "the service did not reply in time" if late else "the connection broke in the middle of a reply"
            raise _RetryableError(RequestError(said)) from error

    def _checked(self, response: BaseHTTPResponse, content: bytes) -> dict[str, Any]:
        """Return the object in a reply's body, or raise the fault that its status and body describe."""
        status = response.status
        said = f"HTTP {status}: {self._message(content)}" if status != 200 else ""
        if status in FATAL_STATUS:
            raise UserError(f"{self.address} refuses to judge ({said}): {self._remedy}")
        if status in RETRIED_STATUS or status >= 500:
            raise _RetryableError(RequestError(said, status), _retry_after(response.headers.get("Retry-After")))
        if 300 <= status < 400:
            place = _host(response.headers.get("Location"))
            raise RequestError(f"HTTP {status}: the service sends us on to {place}, which may be another one", status)
        if status != 200:
            raise RequestError(said, status)
        try:
            value = parsed(content)
        except (ValueError, RecursionError) as error:
            raise _RetryableError(RequestError("the reply is not JSON in UTF-8", status)) from error
        if not isinstance(value, dict):
            raise RequestError("the reply is not a JSON object", status)
        if value.get("error"):
            raise _RetryableError(RequestError(f"the service reports: {self._message(content)}", status))
        return value

    def _message(self, content: bytes) -> str:
        """Return the message of an error body (in either protocol) as one short line without the key.

        Replies are left alone: a key for a local service may be any common word.
        """
        text = content[:LONGEST_ERROR].decode("utf-8", "replace")
        try:
            error = json.loads(text)["error"]
            text = error["message"] if isinstance(error, dict) else error
        except (ValueError, KeyError, TypeError, RecursionError):
            pass
        text = " ".join(str(text).split())
        return (text.replace(self._key, "***") if self._key else text)[:200]


class _RetryableError(Exception):
    """A fault that may be temporary; `final` is raised if it is not."""

    def __init__(self, final: Exception, retry_after: float | None = None) -> None:
        super().__init__(str(final))
        self.final = final
        self.retry_after = retry_after


def _shown(base_url: str, remedy: str) -> str:
    """Return an http(s) address without its secrets; raises `UserError` if it is no such address."""
    try:
        parts = urlsplit(base_url)
    except ValueError as error:
        raise UserError(f"the judge's address cannot be read ({error}): {remedy}") from error
    address = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UserError(f"{address} is not the address of a service: {remedy}")
    return address


def _host(location: str | None) -> str:
    """Return the host that a redirect names, as far as it can be shown."""
    try:
        host = urlsplit(location or "").hostname
    except ValueError:
        host = None
    return visible(clipped(host, 100)) if host else "another address"


def _place(base_url: str) -> str:
    """Return `local` for this machine and private networks, else `remote`; names are judged without looking them up."""
    host = urlsplit(base_url).hostname or ""
    try:
        return "local" if ipaddress.ip_address(host).is_private else "remote"
    except ValueError:
        return "local" if "." not in host or host.endswith((".local", ".localhost", ".internal")) else "remote"


def _retry_after(value: str | None) -> float | None:
    """Return the seconds that a `Retry-After` header asks for, be it seconds or an HTTP date; null if unreadable."""
    if value is None:
        return None
    try:
        return float(urllib3.Retry().parse_retry_after(value))
    except (InvalidHeader, ValueError, OverflowError):  # the last two for numbers and dates beyond Python's range
        return None


def concurrency(default: int) -> int:
    """Return how many questions to ask at a time: `REPROTUNE_JUDGE_CONCURRENCY`, or the default."""
    value = os.environ.get("REPROTUNE_JUDGE_CONCURRENCY")
    if not value:
        return default
    if not (value.isdecimal() and len(value) < 5 and 1 <= int(value) <= MOST_AT_A_TIME):
        raise UserError(
            f"REPROTUNE_JUDGE_CONCURRENCY is {clipped(value, 40)!r}, but should be a whole number from 1 to "
            f"{MOST_AT_A_TIME}"
        )
    return int(value)
