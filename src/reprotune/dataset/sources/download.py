"""Getting the dataset's file onto this machine: downloads that survive bad networks, and hash checks.

A download goes to `<name>.part`; `<name>.part.json` remembers the server's validator (ETag or Last-Modified), so that a
later attempt, even after a kill, requests only the missing bytes and only if the file is still the same (RFC 9110,
sections 13.1.5 and 14).
"""

import http.client
import os
import random
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import requests
import urllib3
from urllib3.exceptions import InvalidHeader
from urllib3.util import Retry

from reprotune.artifacts import write_json
from reprotune.console import note, progress_bar
from reprotune.errors import UserError
from reprotune.files import read_json
from reprotune.scratch import file_sha256

CHUNK_BYTES = 1 << 20
TOKENS_VARIABLE = "REPROTUNE_DOWNLOAD_TOKENS"
"""Environment variable with the tokens of hosts that ask for one: `data.example.org=TOKEN other.example.org=TOKEN`."""


@dataclass(frozen=True)
class RetryPolicy:
    """How long to wait for a server and when to give up; times in seconds."""

    attempts: int = 5
    """Failures in a row, without a new byte, before giving up."""
    first_delay: float = 1.0
    """Wait after the first failure; it doubles from failure to failure, with a random factor of 0.5 to 1.5."""
    longest_delay: float = 30.0
    longest_retry_after: float = 300.0
    """A server that asks (Retry-After) for a longer wait than this ends the download."""
    connect_timeout: float = 10.0
    read_timeout: float = 30.0
    """Longest silence of the server while it answers."""


def download(
    url: str,
    destination: Path,
    sha256: str | None = None,
    policy: RetryPolicy | None = None,
    key: str = "fetch.dataset",
) -> str:
    """Download `url` to `destination`, which appears only when complete, and return its SHA-256.

    Dropped connections, stalls, short bodies, 408, 425, 429 and 5xx are retried after a growing wait, from where the
    last attempt ended if the server allows it. A file already at `destination` is accepted only if it has the given
    `sha256`. `key` is where params.yaml has the address, for messages. Raises `UserError` on any other response, on a
    wrong hash and when the attempts are used up.
    """
    policy = policy or RetryPolicy()
    if sha256 is not None and destination.is_file() and file_sha256(destination) == sha256:
        note(f"{url} is already here with the expected SHA-256")
        return sha256
    part = _Part(destination)
    furthest, failures = part.size(), 0
    while True:
        try:
            _transfer(url, part, policy, key)
            break
        except _TemporaryError as fault:
            # An attempt that got further than any before resets the count, so a long file survives many cuts.
            failures = 1 if part.size() > furthest else failures + 1
            furthest = max(furthest, part.size())
            if failures >= policy.attempts:
                raise UserError(
                    f"{url}: {fault} ({failures} attempts): check the connection and run again, or download the file "
                    f"by hand and set {key}.source to its path"
                ) from fault
            delay = _delay(url, fault, failures, policy)
            note(f"{url}: {fault}; trying again in {delay:.1f} s")
            time.sleep(delay)
    try:
        digest = checked_sha256(file_sha256(part.path), url, sha256, key)
    except UserError:
        part.discard()
        raise
    part.finish()
    return digest


class _TemporaryError(Exception):
    """A fault that may pass; `retry_after` is the wait in seconds that the server asked for."""

    def __init__(self, reason: str, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


class _Part:
    """The unfinished file of a download and what is needed to continue it."""

    def __init__(self, destination: Path) -> None:
        self.destination = destination
        self.path = destination.with_name(f"{destination.name}.part")
        self.validator_path = destination.with_name(f"{destination.name}.part.json")

    def size(self) -> int:
        return self.path.stat().st_size if self.path.is_file() else 0

    def validator(self) -> str | None:
        """Return the ETag or date that the bytes so far belong to; None if they cannot be continued."""
        if not self.size() or not self.validator_path.is_file():
            return None
        try:
            validator = read_json(self.validator_path, "delete it")
        except UserError:  # cut off, perhaps by a full disk: the download begins anew
            return None
        # what is no header would be refused by the library that sends it
        return validator if isinstance(validator, str) and validator.isascii() and validator.isprintable() else None

    def start(self, headers: Mapping[str, str]) -> None:
        """Drop earlier bytes and remember the validator of the response that starts now."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.discard()
        etag = headers.get("ETag", "")
        # A weak ETag promises the same meaning, not the same bytes, so If-Range may not use it.
        validator = headers.get("Last-Modified") if not etag or etag.startswith("W/") else etag
        write_json(self.validator_path, validator)

    def discard(self) -> None:
        self.path.unlink(missing_ok=True)
        self.validator_path.unlink(missing_ok=True)

    def finish(self) -> None:
        self.path.replace(self.destination)
        self.validator_path.unlink(missing_ok=True)


def _transfer(url: str, part: _Part, policy: RetryPolicy, key: str) -> None:
    """Make one request and append its body to the part file; raises `_TemporaryError` if it is worth retrying."""
    headers = {"Accept-Encoding": "identity"}  # bytes as stored: ranges and hashes count those
    headers |= _authorization(url)
    validator = part.validator()
    offset = part.size() if validator is not None else 0
    if validator is not None:
        headers |= {"Range": f"bytes={offset}-", "If-Range": validator}
    timeout = (policy.connect_timeout, policy.read_timeout)
    try:
        with requests.get(url, headers=headers, stream=True, timeout=timeout) as response:
            _check_status(response, url, part, key)
            if response.status_code == http.client.PARTIAL_CONTENT:
                total = _resumed_total(response, part, offset)
            else:
                part.start(response.headers)
                total = _positive_int(response.headers.get("Content-Length"))
            _append_body(response, part, total)
    except requests.exceptions.SSLError as error:
        raise UserError(
            f"{url}: no secure connection ({_innermost(error)}): if your network uses its own certificates, set "
            f"REQUESTS_CA_BUNDLE to their file"
        ) from error
    except (requests.ConnectionError, requests.Timeout, urllib3.exceptions.HTTPError) as error:
        raise _TemporaryError(_connection_fault(error, policy)) from error
    except requests.RequestException as error:
        raise UserError(f"{url} cannot be fetched ({_innermost(error)}): check {key}.source") from error


def _authorization(url: str) -> dict[str, str]:
    """Return the header with the token of the URL's host; empty where the environment has none for it.

    The environment names the host, not params.yaml, so that no edit of the latter can send a token elsewhere; requests
    takes the header off when a redirect leads to another host. Raises `UserError`, which shows no token, for one that
    would be sent in the clear or cannot be sent.
    """
    address = urlsplit(url)
    host = address.netloc.rpartition("@")[2].lower()
    tokens = dict(entry.split("=", 1) for entry in os.environ.get(TOKENS_VARIABLE, "").split() if "=" in entry)
    token = {name.lower(): token for name, token in tokens.items()}.get(host)
    if token is None:
        return {}
    if address.scheme.lower() != "https" and address.hostname not in ("127.0.0.1", "localhost", "::1"):
        raise UserError(
            f"{url}: a token is only sent over https: change the address, or take {host} out of {TOKENS_VARIABLE}"
        )
    if not (token.isascii() and token.isprintable()):
        raise UserError(f"{TOKENS_VARIABLE}: the token of {host} has characters that no header can hold: set it again")
    return {"Authorization": f"Bearer {token}"}


def _check_status(response: requests.Response, url: str, part: _Part, key: str) -> None:
    status = response.status_code
    if status in (http.client.OK, http.client.PARTIAL_CONTENT):
        return
    answer = f"the server answered {status} {http.client.responses.get(status, '')}".strip()
    if status == http.client.REQUESTED_RANGE_NOT_SATISFIABLE and part.size():
        part.discard()
        raise _TemporaryError(f"{answer} when asked to continue")
    if status in (408, 425, 429) or status >= 500:
        raise _TemporaryError(answer, _retry_after(response.headers.get("Retry-After")))
    closed = f", and its token in {TOKENS_VARIABLE}" if status in (401, 403) else ""
    raise UserError(f"{url}: {answer}: check the address in {key}.source and that it is open to you{closed}")


def _resumed_total(response: requests.Response, part: _Part, offset: int) -> int | None:
    """Return the whole file's size after checking that the response continues at `offset`."""
    found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
    if found is None or int(found[1]) != offset:
        part.discard()
        raise _TemporaryError("the server continued at a different place than requested")
    return _positive_int(found[2])


def _append_body(response: requests.Response, part: _Part, total: int | None) -> None:
    with part.path.open("ab") as file, progress_bar("downloading", total, unit="B") as bar:
        bar.update(file.tell())
        for chunk in response.raw.stream(CHUNK_BYTES, decode_content=False):
            file.write(chunk)
            bar.update(len(chunk))
    if total is not None and part.size() != total:
        size = part.size()
        if size > total:
            part.discard()
        raise _TemporaryError(f"the server sent {size} of {total} bytes")


def _delay(url: str, fault: _TemporaryError, failures: int, policy: RetryPolicy) -> float:
    if fault.retry_after is None:
        return min(policy.first_delay * 2 ** (failures - 1), policy.longest_delay) * random.uniform(0.5, 1.5)
    if fault.retry_after > policy.longest_retry_after:
        raise UserError(f"{url}: {fault} and asks to wait {fault.retry_after:.0f} s: run again after that") from fault
    return fault.retry_after


def _retry_after(header: str | None) -> float | None:
    """Return the wait in seconds that a Retry-After header (seconds or a date) asks for; None if it is not one."""
    try:
        return None if header is None else float(Retry().parse_retry_after(header))
    except (InvalidHeader, ValueError, OverflowError):
        return None


def _positive_int(text: str | None) -> int | None:
    return int(text) if text is not None and re.fullmatch(r"[0-9]{1,18}", text) else None


def _connection_fault(error: Exception, policy: RetryPolicy) -> str:
    if isinstance(error, requests.ConnectTimeout):
        return f"no connection within {policy.connect_timeout:g} s"
    if isinstance(error, requests.Timeout | urllib3.exceptions.ReadTimeoutError):
        return f"the server was silent for {policy.read_timeout:g} s"
    return f"the connection failed ({_innermost(error)})"


def _innermost(error: BaseException) -> str:
    """Return the text of the first fault in a chain of exceptions, e.g. `Connection refused`."""
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    return str(error) or type(error).__name__


def checked_sha256(digest: str, name: str, expected: str | None, key: str) -> str:
    """Return the SHA-256 of what was fetched; raises `UserError` if another one is expected."""
    if expected is None:
        note(f"SHA-256 of {name}: {digest} (set {key}.sha256 to have it checked)")
    elif digest != expected:
        raise UserError(
            f"{name} has SHA-256 {digest}, but {key}.sha256 is {expected}: if the new file is wanted, set "
            f"{key}.sha256 to its hash"
        )
    return digest
