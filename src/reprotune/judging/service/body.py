"""Reading what a service sends: never more than a bound, nor much of several replies at a time.

A judge's reply has a few hundred bytes, with the probabilities of its tokens a megabyte or two. As Python values, JSON
may take thirty times its bytes; with a thousand questions in flight, that has to be bounded for all of them together.
"""

import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from urllib3.response import BaseHTTPResponse

LARGEST_BODY = 8 << 20
SMALL_BODY = 64 << 10
"""Bytes that every connection may hold; the rest of a larger body is read and parsed by one thread at a time."""
PIECE = 1 << 16
HALF = re.compile(r"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")
ESCAPE = re.compile(rf"\\u[dD][89abAB][0-9a-fA-F]{{2}}\\u[dD][c-fC-F][0-9a-fA-F]{{2}}|{HALF.pattern}|\\.")
"""An escape in JSON text; a pair of surrogates is one."""


class TooLargeError(Exception):
    """A body has more bytes than any reply."""


class Bodies:
    """Reads the bodies of one service's replies; thread-safe."""

    def __init__(self) -> None:
        self._large = threading.Lock()

    @contextmanager
    def read(self, response: BaseHTTPResponse, ends: float) -> Iterator[bytes]:
        """Yield a body; of the large ones, one at a time until the context is left.

        It is read piece by piece, so that a server that sends a trickle cannot outlast `ends` (of `time.monotonic`).
        Raises TimeoutError there, and `TooLargeError` beyond `LARGEST_BODY`.
        """
        alone = False
        try:
            body = bytearray()
            while piece := response.read1(PIECE, decode_content=True):
                body += piece
                if time.monotonic() > ends:
                    raise TimeoutError
                if len(body) > LARGEST_BODY:
                    raise TooLargeError
                if len(body) > SMALL_BODY and not alone:
                    alone = self._large.acquire(timeout=max(0.0, ends - time.monotonic()))
                    if not alone:
                        raise TimeoutError
            yield bytes(body)
        finally:
            if alone:
                self._large.release()


def parsed(content: bytes) -> Any:
    """Return the value of JSON text; raises ValueError if a byte of it is not UTF-8, because it may have been a digit.

    Escaped halves of surrogate pairs, which no file can hold, become U+FFFD.
    """
    text = content.decode("utf-8")
    if HALF.search(text):
        text = ESCAPE.sub(lambda escape: "\\ufffd" if HALF.fullmatch(escape[0]) else escape[0], text)
    return json.loads(text)
