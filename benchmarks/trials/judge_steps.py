"""What a judge's service may do instead of answering; a score in these replies is 7 unless it is the true one."""

import gzip
import json
import socket
import struct
import time
import zlib
from collections.abc import Callable
from typing import Any

from .project import ROOT  # noqa: F401 - puts the repository on the path

from tests.builders.judge_service import Handler, drop, hang_up, status, trickle  # isort: skip

Step = Callable[[Handler, dict[str, Any]], None]

SEVEN = '{"reasoning": "odd", "score": 7}'
STATUSES = (
    *(201, 202, 203, 204, 205, 206, 207, 226, 300, 304, 305, 400, 401, 402, 403, 404, 405, 408, 409, 410, 411, 413),
    *(
        415,
        418,
        422,
        423,
        425,
        426,
        428,
        429,
        431,
        451,
        499,
        500,
        501,
        502,
        503,
        504,
        507,
        511,
        520,
        524,
        529,
        599,
        999,
    ),
)
LONGEST_OF_OLLAMA = 4000
"""Ollama keeps to `num_predict`, and the context is sized by that."""
PLACES = (
    "http://127.0.0.1:9/x",
    "/elsewhere",
    "https://example.invalid/",
    "",
    "http://[::1/x",
    "\x1b[31mred",
    "file:///",
)
RETRY_AFTER = ("0", "1", "-1", "9" * 400, "1e400", "soon", "Fri, 31 Dec 9999 23:59:59 GMT", "NaN", "0.01")


def message_of(handler: Handler, text: Any, finish: str = "stop", **more: Any) -> dict[str, Any]:
    """Return a whole reply in the protocol that was asked for."""
    if handler.path == "/api/chat" and isinstance(text, str):
        text = text[:LONGEST_OF_OLLAMA]
    message = {"role": "assistant", "content": text}
    if handler.path == "/api/chat":
        counts = {"prompt_eval_count": 500, "eval_count": 9}
        return {"message": message, "done": True, "done_reason": finish, **counts, **more}
    usage = {"prompt_tokens": 500, "completion_tokens": 9}
    return {"choices": [{"message": message, "finish_reason": finish}], "usage": usage, **more}


def says(text: Any, finish: str = "stop", **more: Any) -> Step:
    """Reply properly, with this as the judge's words."""
    return lambda handler, request: handler.send_json(message_of(handler, text, finish, **more))


def sends(make: Callable[[bytes], bytes], headers: dict[str, str] | None = None) -> Step:
    """Reply with the bytes that `make` returns for those of a proper reply."""

    def step(handler: Handler, request: dict[str, Any]) -> None:
        handler.send_body(make(json.dumps(message_of(handler, SEVEN)).encode()), headers=headers)

    return step


def raw(content: bytes, close: bool = True) -> Step:
    """Send bytes that need not be HTTP."""

    def step(handler: Handler, request: dict[str, Any]) -> None:
        handler.wfile.write(content)
        handler.wfile.flush()
        handler.close_connection = close

    return step


def value(change: Callable[[dict[str, Any]], Any]) -> Step:
    """Reply with what `change` makes of the JSON value of a proper reply."""
    return lambda handler, request: handler.send_json(change(message_of(handler, SEVEN)))


def drips(content: bytes, seconds: float = 0.05, most: int = 150) -> Step:
    """Send bytes one by one."""

    def step(handler: Handler, request: dict[str, Any]) -> None:
        for place in range(min(most, len(content))):
            handler.wfile.write(content[place : place + 1])
            handler.wfile.flush()
            time.sleep(seconds)
        handler.close_connection = True

    return step


def silence(handler: Handler, request: dict[str, Any]) -> None:
    time.sleep(1.5)
    handler.close_connection = True


def reset(handler: Handler, request: dict[str, Any]) -> None:
    """Close with a reset instead of an end."""
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.connection.close()
    handler.close_connection = True


def continues(handler: Handler, request: dict[str, Any]) -> None:
    """Say `100 Continue` for longer than anybody should listen."""
    for _ in range(200):
        handler.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        handler.wfile.flush()
        time.sleep(0.05)
    handler.close_connection = True


def chunked(content: bytes) -> Step:
    return raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + content)


def padded(piece: bytes) -> Callable[[bytes], bytes]:
    """Return what adds a field of many such pieces to a reply."""
    return lambda whole: whole[:-1] + b', "more": [' + piece * (4_000_000 // len(piece)) + b"0]}"


def without_a_score(make: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    """Return what makes the same of a reply that is no verdict."""
    return lambda whole: make(whole.replace(b"score", b"words"))


LARGE: dict[str, Callable[[bytes], bytes]] = {
    "words": lambda whole: whole.replace(b"odd", b"odd " * 1_000_000),
    "numbers": padded(b"7,"),
    "lists": padded(b"[],"),
    "objects": padded(b'{"":0},'),
    "halves of pairs": padded(b'"\\ud83d",'),
}
"""Values that take many times the memory of their text."""

GZIP = {"Content-Encoding": "gzip"}
OK = b"HTTP/1.1 200 OK\r\n"

STEPS: dict[str, Step] = {
    **{f"status {code}": status(code) for code in STATUSES},
    **{f"redirect to {place!r}": status(307, headers={"Location": place}) for place in PLACES},
    "redirect to nowhere": status(302),
    **{f"retry after {text[:20]}": status(429, headers={"Retry-After": text}) for text in RETRY_AFTER},
    "error of 1 MB": status(500, "x" * 1_000_000),
    "error with markup": status(400, "<script>\x1b[31m\u202e"),
    "error without text": lambda handler, request: handler.send_json({"error": None}, 500),
    "error in a success": value(lambda whole: {"error": {"message": "overloaded"}}),
    # the connection
    "cut": drop,
    "hang up": hang_up,
    "reset": reset,
    "silence": silence,
    "drip of a body": trickle,
    "drip of headers": drips(OK + b"X: y\r\n" * 200),
    "drip of a status": drips(b"HTTP/1.1 " + b"2" * 200),
    "continues": continues,
    # HTTP
    "no HTTP": raw(b"hello\r\n\r\n"),
    "HTTP/0.9": raw(b"<html>7</html>"),
    "HTTP/2": raw(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "empty status": raw(b"HTTP/1.1\r\n\r\n"),
    "status of words": raw(b"HTTP/1.1 OK OK\r\n\r\n"),
    "status -200": raw(b"HTTP/1.1 -200 OK\r\n\r\n"),
    "status 2000": raw(b"HTTP/1.1 2000 OK\r\n\r\n"),
    "header of 100 KB": raw(OK + b"X: " + b"y" * 100_000 + b"\r\n\r\n"),
    "1,000 headers": raw(OK + b"X: y\r\n" * 1000 + b"\r\n"),
    "header without name": raw(OK + b": y\r\nContent-Length: 2\r\n\r\n{}"),
    "header of odd bytes": raw(OK + b"X\xff\xfe: \x00\r\nContent-Length: 2\r\n\r\n{}"),
    "length -1": raw(OK + b"Content-Length: -1\r\n\r\n{}"),
    "length of words": raw(OK + b"Content-Length: many\r\n\r\n{}"),
    "length of 400 digits": raw(OK + b"Content-Length: " + b"9" * 400 + b"\r\n\r\n{}"),
    "two lengths": raw(OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}"),
    "chunk of no size": chunked(b"zz\r\n{}\r\n0\r\n\r\n"),
    "chunk of a huge size": chunked(b"ffffffffffffffffff\r\n{}\r\n"),
    "chunks without end": chunked(b"2\r\n{}\r\n"),
    "charset of nonsense": sends(lambda whole: b"{}", {"Content-Type": "application/json; charset=nonsense"}),
    # coding
    "gzip of nonsense": sends(lambda whole: b"nonsense", GZIP),
    "gzip cut": sends(lambda whole: gzip.compress(whole)[:-12], GZIP),
    "gzip bomb": sends(lambda whole: gzip.compress(bytes(50_000_000)), GZIP),
    "gzip of gzip": sends(lambda whole: gzip.compress(gzip.compress(whole)), GZIP),
    "deflate bomb": sends(lambda whole: zlib.compress(bytes(50_000_000)), {"Content-Encoding": "deflate"}),
    "coding of nonsense": sends(lambda whole: b"\x8b\x05", {"Content-Encoding": "br, zstd, x"}),
    # the body
    "nothing": sends(lambda whole: b""),
    "10 MB": sends(lambda whole: b" " * 10_000_000),
    "a page": sends(lambda whole: b"<html>7</html>", {"Content-Type": "text/html"}),
    "half a reply": sends(lambda whole: whole[: len(whole) // 2]),
    "two replies": sends(lambda whole: whole + whole),
    "stream of events": sends(lambda whole: b"data: " + whole + b"\n\ndata: [DONE]\n\n"),
    "deep": sends(lambda whole: b"[" * 100_000),
    "deep and closed": sends(lambda whole: b'{"a":' * 5000 + b"1" + b"}" * 5000),
    "bad UTF-8": sends(lambda whole: whole.replace(b"7", b"7\xff")),
    "bad UTF-8 in a word": sends(lambda whole: whole.replace(b"odd", b"\xed\xa0\xbd")),
    "UTF-16": sends(lambda whole: whole.decode().encode("utf-16")),
    "byte order mark": sends(lambda whole: b"\xef\xbb\xbf" + whole),
    "zeros": sends(lambda whole: bytes(len(whole))),
    "number of 5,000 digits": sends(lambda whole: whole.replace(b"500", b"5" * 5000)),
    "null": value(lambda whole: None),
    "a list": value(lambda whole: [whole]),
    "a number": value(lambda whole: 7),
    "no message": value(lambda whole: {}),
    "message null": value(lambda whole: {"message": None, "choices": [{"message": None}]}),
    "choices empty": value(lambda whole: {"choices": [], "message": {}}),
    "choices an object": value(lambda whole: {"choices": {"0": 7}, "message": [7]}),
    "words as a list": says([{"type": "text", "text": SEVEN}]),
    "words as a number": says(7),
    "words as an object": says({"score": 7}),
    "no words": says(None),
    # the words
    "cut off": says('{"reasoning": "odd", "sco', "length"),
    "cut off after a score": says('{"score": 7', "length"),
    "refusal": says("I cannot score this.", "content_filter"),
    "empty words": says(""),
    "blanks": says(" \n" * 1000),
    "score 101": says('{"reasoning": "odd", "score": 101}'),
    "score -1": says('{"reasoning": "odd", "score": -1}'),
    "score 1e400": says('{"reasoning": "odd", "score": 1e400}'),
    "score NaN": says('{"reasoning": "odd", "score": NaN}'),
    "score true": says('{"reasoning": "odd", "score": true}'),
    "score null": says('{"reasoning": "odd", "score": null}'),
    "score a list": says('{"reasoning": "odd", "score": [7, 9]}'),
    "score of 400 digits": says('{"reasoning": "odd", "score": ' + "7" * 400 + "}"),
    "two scores": says('{"score": 7, "score": 9}'),
    "two verdicts": says('{"score": 7} {"score": 9}'),
    "range": says("Between 7 and 9 of 100."),
    "no score": says('{"reasoning": "odd"}'),
    "lone surrogate": says('{"reasoning": "\ud83d", "score": null}'),
    "lone surrogate in words": says("\udc00 no verdict"),
    "zeros in words": says("\0" * 100),
    "control codes": says("\x1b[2J\x1b]0;owned\x07\u202e"),
    "5 MB of words": says("no verdict " * 500_000),
    "deep words": says("[" * 100_000),
    "open brace a million times": says("{" * 1_000_000),
    "markup": says("<script>alert(7)</script>"),
    **{f"{what} of 4 MB": sends(without_a_score(make)) for what, make in LARGE.items()},
    # what goes with them
    "counts of words": says("no verdict", usage="none", prompt_eval_count="many", eval_count=None),
    "counts beyond all": says("no verdict", usage={"prompt_tokens": 10**30}, prompt_eval_count=-(10**30)),
    "fingerprint of 1 MB": says("no verdict", system_fingerprint="x" * 1_000_000),
    "fingerprint a list": says("no verdict", system_fingerprint=[1]),
    "probabilities of nonsense": says("no verdict", logprobs=[{"token": 1}, None, 7]),
}
