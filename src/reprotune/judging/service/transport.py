"""HTTP for judges: deadlines, retries with jitter, errors in words, and no secret in any of them."""

import json
import os
import random
import threading
import time
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, cast
from urllib.parse import urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NewConnectionError,
    ProxyError,
    ReadTimeoutError,
    SSLError,
)
from urllib3.response import BaseHTTPResponse

from reprotune.errors import UserError

RETRIED_STATUS = frozenset({408, 409, 425, 429})
FATAL_STATUS = frozenset({401, 402, 403})
NEVER_CONNECTED = (ConnectTimeoutError, NewConnectionError, SSLError, ProxyError)
LARGEST_BODY = 8 << 20
FIRST_ATTEMPTS = 2
"""Tries before the service has answered anything: one that is not running should be reported at once."""


class RequestError(Exception):
    """One question got no usable reply, after every retry; the others may still get theirs."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        """HTTP status, where there was one."""


class ServiceUnreachableError(UserError):
    """Nothing answers at the service's address: there is no point in asking on."""


@dataclass(frozen=True)
class Deadlines:
    """Seconds, and how often to try."""

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
    """JSON over HTTP to one service, safe for threads.

    requests finds out once what the environment says (proxies, certificates); the calls go to its urllib3 pool
    directly, for a Session spends more processor time on each of them than sending and reading take.
    """

    def __init__(self, base_url: str, key: str | None, deadlines: Deadlines, connections: int, way_out: str) -> None:
        self._base_url = base_url.rstrip("/")
        self.address = _shown(self._base_url, way_out)
        """The base URL as it may be shown: without user name, password and query."""
        self._key = key
        self._deadlines = deadlines
        self._way_out = way_out
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
            raise UserError(f"{self.address} is not the address of a service: {way_out}") from error
        if "Authorization" in request.headers:  # user and password in the address
            self._headers["Authorization"] = request.headers["Authorization"]
        if key:
            self._headers["Authorization"] = f"Bearer {key}"
        self._stopped = threading.Event()
        self._answered = False

    def close(self) -> None:
        """Close the connections and stop waiting between retries."""
        self._stopped.set()
        self._adapter.close()

    def request(self, method: str, path: str, payload: Any = None, read: float | None = None) -> dict[str, Any]:
        """Send JSON and return the JSON object of the reply.

        Connection errors, broken replies and the statuses 408, 409, 425, 429 and 5xx are tried again. Raises
        `RequestError`, `ServiceUnreachableError`, or `UserError` where the service refuses the key.
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
            with closing(response):
                content = _read_body(response, ends)
        except (TimeoutError, ReadTimeoutError) as error:
            raise _RetryableError(RequestError("the service fell silent")) from error
        except NEVER_CONNECTED as error:
            message = f"nothing answers at {self.address}: {self._way_out}"
            raise _RetryableError(ServiceUnreachableError(message)) from error
        except (OSError, HTTPError) as error:
            raise _RetryableError(RequestError("the connection broke off inside a reply")) from error
        text = content.decode("utf-8", "replace")
        return self._checked(response, text.replace(self._key, "***") if self._key else text)

    def _checked(self, response: BaseHTTPResponse, text: str) -> dict[str, Any]:
        """Turn a status and a body into the reply's object or into the fault that fits."""
        status = response.status
        said = f"HTTP {status}: {_message(text)}"
        if status in FATAL_STATUS:
            raise UserError(f"{self.address} refuses to judge ({said}): {self._way_out}")
        if status in RETRIED_STATUS or status >= 500:
            raise _RetryableError(RequestError(said, status), _retry_after(response.headers.get("Retry-After")))
        if status != 200:
            raise RequestError(said, status)
        try:
            value = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise _RetryableError(RequestError("the reply is not JSON", status)) from error
        if not isinstance(value, dict):
            raise RequestError("the reply is not a JSON object", status)
        if value.get("error"):
            raise _RetryableError(RequestError(f"the service reports: {_message(text)}", status))
        return value


class _RetryableError(Exception):
    """A fault that may pass; `final` is raised when it does not."""

    def __init__(self, final: Exception, retry_after: float | None = None) -> None:
        super().__init__(str(final))
        self.final = final
        self.retry_after = retry_after


def _shown(base_url: str, way_out: str) -> str:
    """Return an http(s) address without its secrets; raises `UserError` when it is no such address."""
    try:
        parts = urlsplit(base_url)
    except ValueError as error:
        raise UserError(f"the judge's address cannot be read ({error}): {way_out}") from error
    address = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UserError(f"{address} is not the address of a service: {way_out}")
    return address


def _read_body(response: BaseHTTPResponse, ends: float) -> bytes:
    """Read a body piece by piece, so that a server that trickles cannot outlast the total deadline."""
    body = bytearray()
    while piece := response.read1(1 << 16, decode_content=True):
        body += piece
        if time.monotonic() > ends:
            raise TimeoutError
        if len(body) > LARGEST_BODY:
            raise RequestError("the reply is larger than 8 MiB")
    return bytes(body)


def _message(text: str) -> str:
    """Return the message of an error body (both protocols), on one line and not long."""
    try:
        error = json.loads(text)["error"]
        text = error["message"] if isinstance(error, dict) else error
    except (ValueError, KeyError, TypeError, RecursionError):
        pass
    return " ".join(str(text).split())[:200]


def _retry_after(value: str | None) -> float | None:
    """Return the seconds that a `Retry-After` header asks for, given as seconds or as an HTTP date."""
    if value is None:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(0.0, (moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.now(UTC)).total_seconds())


def concurrency(default: int) -> int:
    """Return how many questions may be under way at once: `REPROTUNE_JUDGE_CONCURRENCY`, or the default."""
    value = os.environ.get("REPROTUNE_JUDGE_CONCURRENCY")
    if not value:
        return default
    if not value.isdecimal() or int(value) < 1:
        raise UserError(f"REPROTUNE_JUDGE_CONCURRENCY is {value!r} but should be a whole number of 1 or more")
    return int(value)
