"""Datasets on the hub, against a loopback endpoint that answers as the hub does."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import huggingface_hub
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from huggingface_hub.utils import _http

from reprotune.dataset.sources.collect import collect
from reprotune.dataset.sources.hub import chosen
from reprotune.errors import UserError
from reprotune.params.sections.dataset import HubParams
from tests.builders.datasets import dataset_params

COMMIT = "0123456789abcdef0123456789abcdef01234567"
LATEST = "f" * 40
NAME = "someone/sums"
FILES = (
    "README.md",
    "data/test-00000-of-00001.parquet",
    "data/train-00000-of-00002.parquet",
    "data/train-00001-of-00002.parquet",
)


class Hub:
    """Answers for one dataset: its info, the list of its files at `COMMIT`, and each file from a folder."""

    def __init__(self, folder: Path) -> None:
        self.requests: list[tuple[str, str | None]] = []
        self.refused: tuple[int, str | None] | None = None
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_HEAD(self) -> None:
                hub.requests.append((self.path, self.headers.get("Authorization")))
                path = self.path.partition("?")[0]
                listing = f"/api/datasets/{NAME}/tree/{COMMIT}"
                resolved = f"/datasets/{NAME}/resolve/{COMMIT}/"
                if hub.refused is not None:
                    return self.answer(hub.refused[0], b"{}", **{"X-Error-Code": hub.refused[1] or ""})
                if path == f"/api/datasets/{NAME}":
                    return self.answer(200, json.dumps({"id": NAME, "sha": LATEST}).encode())
                if path == listing:
                    entries = [{"type": "file", "path": name, "size": 1, "oid": "0" * 40} for name in FILES]
                    return self.answer(200, json.dumps(entries).encode())
                if path.startswith(resolved) and (folder / path.removeprefix(resolved)).is_file():
                    name = path.removeprefix(resolved)
                    return self.answer(200, (folder / name).read_bytes(), ETag=f'"{name}"', **{"X-Repo-Commit": COMMIT})
                return self.answer(404, b"{}", **{"X-Error-Code": "RevisionNotFound"})

            do_GET = do_HEAD  # noqa: N815 - the name is the base class's

            def answer(self, status: int, body: bytes, **headers: str) -> None:
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.endpoint = f"http://127.0.0.1:{self.http.server_port}"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub with the dataset; huggingface_hub reads the environment only on import."""
    for name in FILES[1:]:
        path = tmp_path / "hub" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = [{"question": f"{name} {row}", "answer": "yes"} for row in range(5)]
        pq.write_table(pa.Table.from_pylist(rows), path)
    hub = Hub(tmp_path / "hub")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", hub.endpoint)
    monkeypatch.setattr(huggingface_hub.hf_api, "ENDPOINT", hub.endpoint, raising=False)
    template = hub.endpoint + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(_http.time, "sleep", lambda _: None)
    thread = threading.Thread(target=hub.http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield hub
    hub.http.shutdown()
    thread.join()
    hub.http.server_close()


def read(hub_keys: dict[str, Any]) -> list[dict[str, Any]]:
    Path("raw").mkdir(exist_ok=True)
    columns = {"instruction": "question", "output": "answer"}
    collect(dataset_params(source=f"hub:{NAME}", hub=hub_keys, columns=columns), Path("raw"))
    rows: list[dict[str, Any]] = pq.read_table("raw/records.parquet").to_pylist()
    return rows


def test_a_split_at_a_commit_is_read_once(hub: Hub, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    records = read({"revision": COMMIT})
    assert [row["instruction"] for row in records] == [f"{name} {row}" for name in FILES[2:] for row in range(5)]
    assert {token for path, token in hub.requests if NAME in path} == {"Bearer hf_secret"}
    hub.requests.clear()
    assert read({"revision": COMMIT}) == records
    assert hub.requests == [], "what a commit holds does not change"
    assert read({"revision": COMMIT, "split": "test"})[0]["instruction"] == f"{FILES[1]} 0"
    assert "hf_secret" not in "".join(capsys.readouterr())
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    assert read({"revision": COMMIT}) == records


def test_faults_are_one_sentence(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=rf"fetch\.dataset\.hub\.revision is null.*now it is {LATEST}"):
        read({})
    with pytest.raises(UserError, match=f"has no commit {LATEST}: set fetch.dataset.hub.revision"):
        read({"revision": LATEST})
    with pytest.raises(UserError, match=r"has no split 'valid', only the files data/test.*set fetch\.dataset\.hub"):
        read({"revision": COMMIT, "split": "valid"})
    for refused, message in [
        ((403, "GatedRepo"), "is gated: accept its terms on its page, and set HF_TOKEN"),
        ((401, "RepoNotFound"), "is not there or not open to you: check fetch.dataset.source, and HF_TOKEN"),
        ((500, None), "the hub answered 500: check HF_TOKEN and HF_ENDPOINT"),
    ]:
        hub.refused = refused
        with pytest.raises(UserError, match=message):
            read({"revision": "a" * 40})
    hub.refused = None
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match="is not in the hub's cache, and HF_HUB_OFFLINE forbids"):
        read({"revision": "b" * 40})


CONVERTED = [
    "default/partial-train/0000.parquet",
    "default/test/0000.parquet",
    "en/train/0000.parquet",
    "en/train/0001.parquet",
]


@pytest.mark.parametrize(
    ("names", "hub", "expected"),
    [
        (list(FILES), {}, list(FILES[2:])),
        (CONVERTED, {}, CONVERTED[2:]),
        (CONVERTED, {"configuration": "default", "split": "partial-train"}, CONVERTED[:1]),
        (
            ["data/train_sft-0.parquet", "data/train_gen-0.parquet"],
            {"split": "train_sft"},
            ["data/train_sft-0.parquet"],
        ),
        (["all/train-0.parquet", "few/train-0.parquet"], {"configuration": "few"}, ["few/train-0.parquet"]),
        (["data/few/train-0.parquet", "data/train-0.parquet"], {"configuration": "few"}, ["data/few/train-0.parquet"]),
        (["few-train.parquet", "few-test.parquet"], {"configuration": "few"}, ["few-train.parquet"]),
        (
            ["all/train-0.parquet", "few/train-0.parquet"],
            {},
            "several configurations, in all, few: set .*conf",
        ),
        (["train.json"], {}, "has no Parquet files: set .*refs/convert/parquet"),
        (["data/train_sft-0.parquet"], {}, "has no split 'train', only the files data/train_sft-0"),
        (CONVERTED, {"configuration": "default"}, "no split 'train' of configuration 'default'"),
    ],
)
def test_files_of_a_configuration_and_split(names: list[str], hub: dict[str, str], expected: list[str] | str) -> None:
    if isinstance(expected, list):
        assert chosen(names, HubParams(**hub), "it", "fetch.dataset") == expected
    else:
        with pytest.raises(UserError, match=expected):
            chosen(names, HubParams(**hub), "it", "fetch.dataset")
