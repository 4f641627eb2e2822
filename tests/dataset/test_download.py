"""Downloads against a real HTTP server on loopback that fails in every way that servers do."""

import hashlib
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from reprotune.dataset import download as download_module
from reprotune.dataset.download import RetryPolicy, download, source_file
from reprotune.errors import UserError
from reprotune.params import values
from reprotune.params.sections.fetch import DatasetParams

BODY = bytes(range(256)) * 4096
SHA256 = hashlib.sha256(BODY).hexdigest()
ETAG = '"v1"'
QUICK = RetryPolicy(attempts=3, first_delay=0.001, longest_delay=0.002, connect_timeout=2, read_timeout=0.2)

Answer = Callable[[BaseHTTPRequestHandler], None]


class Server:
    """Gives the n-th request the n-th answer (the last one again after that) and keeps the requests' headers."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.requests: list[dict[str, str]] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.requests.append(dict(self.headers))
                server.answers[min(len(server.requests), len(server.answers)) - 1](self)

            def log_message(self, *_: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/data.json"

    def give(self, *answers: Answer) -> str:
        self.answers = list(answers)
        return self.url


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    thread = threading.Thread(target=server.http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.http.shutdown()
    thread.join()
    server.http.server_close()


def send(handler: BaseHTTPRequestHandler, status: int, headers: dict[str, str], body: bytes) -> None:
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(body)
    handler.wfile.flush()


def whole(handler: BaseHTTPRequestHandler) -> None:
    """A server that knows nothing of ranges."""
    send(handler, 200, {"Content-Length": str(len(BODY)), "ETag": ETAG}, BODY)


def ranged(handler: BaseHTTPRequestHandler) -> None:
    """A server that continues where asked, if the file is still the one that was begun."""
    asked = re.fullmatch(r"bytes=(\d+)-", handler.headers.get("Range", ""))
    if asked is None or handler.headers.get("If-Range") != ETAG:
        return whole(handler)
    start = int(asked[1])
    headers = {
        "Content-Length": str(len(BODY) - start),
        "Content-Range": f"bytes {start}-{len(BODY) - 1}/{len(BODY)}",
        "ETag": ETAG,
    }
    return send(handler, 206, headers, BODY[start:])


def truncated(size: int, etag: str = ETAG) -> Answer:
    return lambda handler: send(handler, 200, {"Content-Length": str(len(BODY)), "ETag": etag}, BODY[:size])


def stalled(handler: BaseHTTPRequestHandler) -> None:
    truncated(1000)(handler)
    time.sleep(0.4)


def status(code: int, headers: dict[str, str] | None = None) -> Answer:
    return lambda handler: send(handler, code, {"Content-Length": "0"} | (headers or {}), b"")


def test_download_without_trouble(server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    destination = tmp_path / "new" / "file"
    assert download(server.give(whole), destination, policy=QUICK) == SHA256
    assert destination.read_bytes() == BODY
    assert [path.name for path in destination.parent.iterdir()] == ["file"]
    assert SHA256 in capsys.readouterr().err


@pytest.mark.parametrize("fault", [truncated(100_000), stalled, status(500), status(503), status(429), status(408)])
def test_passing_faults_are_tried_again(server: Server, tmp_path: Path, fault: Answer) -> None:
    assert download(server.give(fault, whole), tmp_path / "file", SHA256, QUICK) == SHA256
    assert len(server.requests) == 2


def test_short_chunked_body_is_noticed(server: Server, tmp_path: Path) -> None:
    def cut_off(handler: BaseHTTPRequestHandler) -> None:
        handler.protocol_version = "HTTP/1.1"
        send(handler, 200, {"Transfer-Encoding": "chunked"}, b"4\r\nabcd\r\n")
        handler.close_connection = True

    assert download(server.give(cut_off, whole), tmp_path / "file", policy=QUICK) == SHA256


def test_refused_connection_gives_up_with_a_way_out(tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    with pytest.raises(UserError, match=r"Connection refused.* \(3 attempts\).*download the file by hand"):
        download(f"http://127.0.0.1:{port}/x", tmp_path / "file", policy=QUICK)


def test_resumes_by_range(server: Server, tmp_path: Path) -> None:
    assert download(server.give(truncated(100_000), ranged), tmp_path / "file", policy=QUICK) == SHA256
    assert "Range" not in server.requests[0]
    assert server.requests[1]["Range"] == "bytes=100000-"
    assert server.requests[1]["If-Range"] == ETAG


def test_resumes_after_a_kill(server: Server, tmp_path: Path) -> None:
    with pytest.raises(UserError):
        download(server.give(truncated(70_000), status(500)), tmp_path / "file", policy=QUICK)
    server.requests.clear()
    assert download(server.give(ranged), tmp_path / "file", policy=QUICK) == SHA256
    assert server.requests[0]["Range"] == "bytes=70000-"


@pytest.mark.parametrize("content", [b"", b'"v', b"\0" * 9, b'"a\\nb: c"', b'"\xff"', b"[" * 9000, b'"\\u00e9"'])
def test_a_spoiled_note_of_the_version_starts_over(server: Server, tmp_path: Path, content: bytes) -> None:
    with pytest.raises(UserError):
        download(server.give(truncated(70_000), status(500)), tmp_path / "file", policy=QUICK)
    (tmp_path / "file.part.json").write_bytes(content)
    server.requests.clear()
    assert download(server.give(ranged), tmp_path / "file", policy=QUICK) == SHA256
    assert "Range" not in server.requests[0]


def test_progress_resets_the_count_of_failures(server: Server, tmp_path: Path) -> None:
    def a_little_more(handler: BaseHTTPRequestHandler) -> None:
        start = int(handler.headers["Range"].removeprefix("bytes=").removesuffix("-"))
        headers = {
            "Content-Length": str(len(BODY) - start),
            "Content-Range": f"bytes {start}-{len(BODY) - 1}/{len(BODY)}",
        }
        send(handler, 206, headers, BODY[start : start + 1000])

    url = server.give(truncated(1000), *[a_little_more] * 6, ranged)
    assert download(url, tmp_path / "file", policy=QUICK) == SHA256


def test_changed_file_starts_over(server: Server, tmp_path: Path) -> None:
    """The part belongs to another version: If-Range makes the server send the new one whole."""
    assert download(server.give(truncated(100_000, '"v0"'), ranged), tmp_path / "file", policy=QUICK) == SHA256
    assert server.requests[1]["If-Range"] == '"v0"'


@pytest.mark.parametrize("etag", ["", 'W/"v1"'])
def test_no_strong_validator_no_range(server: Server, tmp_path: Path, etag: str) -> None:
    assert download(server.give(truncated(100_000, etag), ranged), tmp_path / "file", policy=QUICK) == SHA256
    assert "Range" not in server.requests[1]


@pytest.mark.parametrize(
    "bad_range",
    [
        lambda handler: send(handler, 206, {"Content-Range": f"bytes 0-{len(BODY) - 1}/{len(BODY)}"}, BODY),
        lambda handler: send(handler, 206, {}, BODY[100_000:]),
        status(416),
    ],
)
def test_wrong_range_answers_start_over(server: Server, tmp_path: Path, bad_range: Answer) -> None:
    url = server.give(truncated(100_000), bad_range, ranged)
    assert download(url, tmp_path / "file", policy=QUICK) == SHA256
    assert "Range" not in server.requests[2]


def test_retry_after_seconds_is_kept(server: Server, tmp_path: Path) -> None:
    started = time.monotonic()
    download(server.give(status(429, {"Retry-After": "1"}), whole), tmp_path / "file", policy=QUICK)
    assert time.monotonic() - started >= 1


def test_retry_after_date_that_is_too_far(server: Server, tmp_path: Path) -> None:
    later = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    with pytest.raises(UserError, match=r"429 Too Many Requests and asks to wait 3[56]\d\d s"):
        download(server.give(status(429, {"Retry-After": later})), tmp_path / "file", policy=QUICK)
    assert len(server.requests) == 1


@pytest.mark.parametrize("code", [400, 401, 403, 404, 410])
def test_refusals_are_final(server: Server, tmp_path: Path, code: int) -> None:
    with pytest.raises(UserError, match=rf"answered {code} .*fetch\.dataset\.source"):
        download(server.give(status(code)), tmp_path / "file", policy=QUICK)
    assert len(server.requests) == 1
    assert not any(tmp_path.iterdir())


def test_gives_up_after_the_last_attempt(server: Server, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"answered 500 .*\(3 attempts\)"):
        download(server.give(status(500)), tmp_path / "file", policy=QUICK)
    assert len(server.requests) == 3


def test_wrong_hash_leaves_nothing(server: Server, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"has SHA-256 {SHA256}, but fetch.dataset.sha256 is {'0' * 64}"):
        download(server.give(whole), tmp_path / "file", "0" * 64, QUICK)
    assert not any(tmp_path.iterdir())


def test_verified_file_is_not_fetched_again(server: Server, tmp_path: Path) -> None:
    url = server.give(whole)
    for _ in range(2):
        download(url, tmp_path / "file", SHA256, QUICK)
    assert len(server.requests) == 1
    download(url, tmp_path / "file", None, QUICK)
    assert len(server.requests) == 2, "without a hash the address may hold something new"


def test_delays_grow_and_stay_within_the_longest() -> None:
    policy = RetryPolicy(first_delay=1, longest_delay=4)
    fault = download_module._TemporaryError("the server answered 500")
    for failures, base in [(1, 1), (2, 2), (3, 4), (9, 4)]:
        delays = [download_module._delay("u", fault, failures, policy) for _ in range(50)]
        assert all(0.5 * base <= delay <= 1.5 * base for delay in delays)
        assert len(set(delays)) > 1


def params(source: str | Path, sha256: str | None = None) -> DatasetParams:
    section = values.read_document(Path(__file__).resolve().parents[2] / "params.yaml")["fetch"]["dataset"]
    return DatasetParams.parse("fetch.dataset", section | {"source": str(source), "sha256": sha256})


def test_source_file_by_path_checks_the_hash(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    path.write_bytes(BODY)
    assert source_file(params(path, SHA256)) == (path, SHA256)
    with pytest.raises(UserError, match=r"fetch\.dataset\.sha256"):
        source_file(params(path, "0" * 64))
    for missing in ["ftp://example.org/x.json", str(tmp_path / "none.json"), str(tmp_path)]:
        with pytest.raises(UserError, match=r"is not a file: set fetch\.dataset\.source"):
            source_file(params(missing))


def test_source_file_by_url_keeps_the_download_in_scratch(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    path, digest = source_file(params(server.give(whole)))
    assert digest == SHA256
    assert path.is_relative_to(tmp_path / ".reprotune" / "downloads")
