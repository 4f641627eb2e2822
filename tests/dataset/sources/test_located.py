"""Where the files of a source are: on this machine, or downloaded into scratch, with the token of their host alone."""

import hashlib
import threading
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from reprotune.dataset.sources.download import TOKENS_VARIABLE
from reprotune.dataset.sources.located import located
from reprotune.errors import UserError
from reprotune.params.sections.dataset import SourceParams

BODY = b'{"instruction": "a", "output": "b"}\n'
SHA256 = hashlib.sha256(BODY).hexdigest()
locate = partial(located, "fetch.dataset")


def source(place: str | Path, sha256: str | None = None) -> SourceParams:
    return SourceParams(name="it", source=str(place), sha256=sha256)


@pytest.fixture
def server() -> Iterator[Any]:
    """Refuse whoever has no token; `/moved` leads to another host name of the same machine."""

    class Handler(BaseHTTPRequestHandler):
        seen: ClassVar[list[tuple[str, str | None]]] = []

        def do_GET(self) -> None:
            self.seen.append((self.headers["Host"], self.headers.get("Authorization")))
            if self.path == "/moved":
                self.send_response(302)
                self.send_header("Location", f"http://localhost:{self.server.server_port}/open")
            else:
                self.send_response(200 if self.path == "/open" or self.headers.get("Authorization") else 401)
            body = BODY if self.path != "/moved" else b""
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield http
    http.shutdown()
    thread.join()
    http.server_close()


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.delenv(TOKENS_VARIABLE, raising=False)


def test_a_path_and_its_hash(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    path.write_bytes(BODY)
    assert locate(source(path, SHA256)) == ([(path, str(path))], SHA256)
    with pytest.raises(UserError, match=r"fetch\.dataset\.sha256"):
        locate(source(path, "0" * 64))
    for missing in ["ftp://example.org/x.json", str(tmp_path / "none.json")]:
        with pytest.raises(UserError, match=r"is not a file: set fetch\.dataset\.source"):
            locate(source(missing))


def test_a_token_goes_to_its_host_alone(
    server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    host = f"127.0.0.1:{server.server_port}"
    seen = server.RequestHandlerClass.seen
    with pytest.raises(UserError, match=f"answered 401.*and its token in {TOKENS_VARIABLE}"):
        locate(source(f"http://{host}/closed"))
    monkeypatch.setenv(TOKENS_VARIABLE, f"other.example.org=no {host}=s3cret=")
    [(path, _)], digest = locate(source(f"http://{host}/closed"))
    assert digest == SHA256
    assert path.is_relative_to(tmp_path / ".reprotune" / "downloads")
    assert seen[-1] == (host, "Bearer s3cret=")
    locate(source(f"http://{host}/moved"))
    assert seen[-2:] == [(host, "Bearer s3cret="), (f"localhost:{server.server_port}", None)]
    locate(source(f"http://localhost:{server.server_port}/open"))
    assert seen[-1][1] is None
    assert "s3cret" not in "".join(capsys.readouterr())


def test_tokens_that_are_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKENS_VARIABLE, "data.example.org=s3cret odd.example.org=gehe\u00efm")
    with pytest.raises(UserError, match="only sent over https") as caught:
        locate(source("http://data.example.org/rows.json"))
    assert "s3cret" not in str(caught.value)
    with pytest.raises(UserError, match=r"the token of odd\.example\.org has characters") as caught:
        locate(source("https://odd.example.org/rows.json"))
    assert "gehe" not in str(caught.value)
