"""Cases of malformed requests to `reprotune serve`: each refused by a sentence, and the next good one is answered."""

import json
import socket
import time
from pathlib import Path
from random import Random
from threading import Thread

from .cases import Plan, Step, subject
from .mutations import STRANGE, with_strange_value
from .project import INPUTS, Project
from .verdicts import MEMORY_BYTES, Ran, tail

PATIENCE = 25.0
"""Seconds for the server to start and to answer everything."""
DONE = "answered-all"
GOOD = {"model": "base", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 2}
PATHS = (
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/models",
    "/",
    "/../../etc/passwd",
    "/v1/%00",
    "/v1/" + "x" * 9000,
)
HEADERS = (
    b"Content-Length: -1",
    b"Content-Length: 99999999999999999999",
    b"Content-Length: 5\r\nContent-Length: 6",
    b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"Host: evil.example",
    b"X: " + b"y" * 100_000,
    b"X\xff: \x00",
    b"Expect: 100-continue",
    b"Content-Encoding: gzip",
    b"Origin: http://evil.example",
    b"Authorization: Bearer \xff",
)


def request(path: str, body: bytes, extra: bytes = b"") -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n".encode()
    head += b"Content-Type: application/json\r\n"
    lengths = b"" if b"Content-Length" in extra or b"Transfer" in extra else b"Content-Length: %d\r\n" % len(body)
    return head + lengths + (extra + b"\r\n" if extra else b"") + b"\r\n" + body


def malformed(draw: Random) -> bytes:
    """Return the bytes of one odd request."""
    kind = draw.choice(["value"] * 5 + ["body", "path", "header", "header", "bytes", "cut"])
    whole = json.dumps(GOOD).encode()
    if kind == "value":
        return request(PATHS[0], json.dumps(with_strange_value(GOOD, draw)[0]).encode())
    if kind == "body":
        odd = [b"", b"null", b"[" * 100_000, b"\xff", b"{" * 500_000, b"9" * 5000, whole * 2, b"x" * (2 << 20)]
        return request(draw.choice(PATHS[:2]), draw.choice(odd))
    if kind == "path":
        return request(draw.choice(PATHS), json.dumps(draw.choice(STRANGE)).encode())
    if kind == "header":
        return request(PATHS[0], whole, draw.choice(HEADERS))
    sent = request(PATHS[0], whole)
    return draw.randbytes(200) if kind == "bytes" else sent[: draw.randrange(len(sent))]


def answered(port: int, sent: bytes, patience: float = 1.0) -> bytes:
    """Send bytes and return what comes back; nothing where the server hangs up or waits for more."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.settimeout(patience)
        received = b""
        try:
            connection.sendall(sent)
            while piece := connection.recv(1 << 16):
                received += piece
        except OSError:
            pass
        return received


@subject("d", "requests", *INPUTS["generate@base"], "data/formatted", share=1)
def requests(draw: Random, folder: Path, project: Project) -> Plan:
    """A dozen odd requests to one server, then a good one."""
    odd = [malformed(draw) for _ in range(12)]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    replies: list[bytes] = []

    def ask() -> None:
        ends = time.monotonic() + PATIENCE
        while time.monotonic() < ends:
            try:
                for sent in odd:
                    replies.append(answered(port, sent))
                replies.append(answered(port, request(PATHS[0], json.dumps(GOOD).encode()), PATIENCE))
                break
            except OSError:  # it does not listen yet
                replies.clear()
                time.sleep(0.2)
        (folder / DONE).touch()

    thread = Thread(target=ask, daemon=True)

    def begin() -> str:
        thread.start()
        return ""

    def check(ran: list[Ran]) -> str | None:
        server = ran[0]
        if "Traceback" in server.said or "bug in Reprotune" in server.said:
            return tail(server.said)
        if server.memory > MEMORY_BYTES:
            return f"the server took {server.memory >> 20} MB"
        if len(replies) != len(odd) + 1 or b" 200 " not in replies[-1][:20]:
            return f"a good request is not answered: {replies[-1:]!a}, {tail(server.said)} after {odd!a}"[:2000]
        if failed := [sent for sent, reply in zip(odd, replies, strict=False) if reply.startswith(b"HTTP/1.1 5")]:
            return f"the server fails at {failed[0][:300]!a}"
        return None

    serve = ["reprotune", "serve", "base", "--port", str(port)]
    first = Step(serve, {"stop_at": DONE}, prepares=True, before=begin)
    return Plan(f"{len(odd)} odd requests", [first, Step(["reprotune", "params"])], check=check)
