"""The fetch stages as DVC runs them: a process in the folder that holds params.yaml."""

import gzip
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from reprotune.artifacts import RECORDS, REJECTED, read_table
from reprotune.multiple_choice.contracts import ITEMS
from reprotune.scratch import file_sha256

ROOT = Path(__file__).resolve().parents[2]
CHAPTER_SHA256 = "7e09a9af353722ca15c18bc580f093f9c39d3178335a75177319cb1e1d163944"
GOOD = {"instruction": "Add.", "input": "1 and 2", "output": "3", "category": "sums"}

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run `python -m stages.fetch <what>` in `tmp_path` under the default params with `changes`."""

    def run(what: str, **changes: Any) -> subprocess.CompletedProcess[str]:
        yaml = YAML()
        document = yaml.load((ROOT / "params.yaml").read_text(encoding="utf-8"))
        document["fetch"][what] |= changes
        with (tmp_path / "params.yaml").open("w", encoding="utf-8") as file:
            yaml.dump(document, file)
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "DVC_"))}
        return subprocess.run(
            [sys.executable, "-m", "stages.fetch", what],
            cwd=tmp_path,
            env=environment | {"PYTHONPATH": str(ROOT), "NO_PROXY": "127.0.0.1"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


@pytest.fixture
def chapter_url(shared_data: Path) -> Iterator[str]:
    """Address of the chapter's dataset on a loopback server."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(shared_data / "llms-from-scratch")))
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{http.server_port}/instruction-data.json"
    http.shutdown()
    thread.join()
    http.server_close()


def summary(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "data" / "raw" / "summary.json").read_text(encoding="utf-8")))


def test_the_chapters_dataset_by_path_and_url(run: Run, tmp_path: Path, shared_data: Path, chapter_url: str) -> None:
    path = shared_data / "llms-from-scratch" / "instruction-data.json"
    written = []
    for source, sha256 in [(str(path), None), (chapter_url, CHAPTER_SHA256)]:
        done = run("dataset", source=source, sha256=sha256)
        assert done.returncode == 0, done.stderr
        assert (CHAPTER_SHA256 in done.stderr) == (sha256 is None), "printed when not checked"
        written.append(file_sha256(tmp_path / "data" / "raw" / "records.parquet"))
        assert summary(tmp_path) == {
            "rows": 1100,
            "records": 1100,
            "rejected": 0,
            "reasons": {},
            "sha256": CHAPTER_SHA256,
        }
    assert written[0] == written[1], "the same rows give the same bytes, wherever they come from"
    rows = json.loads(path.read_text(encoding="utf-8"))
    records = read_table(tmp_path / "data" / "raw" / "records.parquet", RECORDS).to_pylist()
    assert [{key: record[key] for key in row} for row, record in zip(rows, records, strict=True)] == rows
    assert [record["source_row"] for record in records] == list(range(1100))
    assert read_table(tmp_path / "data" / "raw" / "rejected.parquet", REJECTED).num_rows == 0


def test_unusable_rows_are_set_aside(run: Run, tmp_path: Path) -> None:
    lines = [json.dumps(GOOD), json.dumps(GOOD | {"output": ""}), '{"instruction": ', json.dumps(GOOD)]
    (tmp_path / "rows.jsonl.gz").write_bytes(gzip.compress("\n".join(lines).encode()))
    done = run("dataset", source="rows.jsonl.gz", max_rejected_fraction=0.5)
    assert done.returncode == 0, done.stderr
    assert "2 records from 4 rows" in done.stderr
    records = read_table(tmp_path / "data" / "raw" / "records.parquet", RECORDS)
    assert records["source_row"].to_pylist() == [0, 3]
    rejected = read_table(tmp_path / "data" / "raw" / "rejected.parquet", REJECTED).to_pylist()
    assert [(row["source_row"], row["reason"]) for row in rejected] == [
        (1, "output is empty"),
        (2, "not valid JSON: Expecting value (character 17)"),
    ]
    assert summary(tmp_path)["reasons"] == {"output is empty": 1, "not valid JSON: Expecting value": 1}


def test_failure_is_one_sentence_and_keeps_earlier_artifacts(run: Run, tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text(json.dumps(GOOD), encoding="utf-8")
    assert run("dataset", source="rows.jsonl").returncode == 0
    earlier = summary(tmp_path)
    (tmp_path / "rows.jsonl").write_text(json.dumps(GOOD) + '\n{"instruction": "a"}', encoding="utf-8")
    for changes, sentence in [
        ({}, "1 of 2 rows are unusable, the first is row 1"),
        ({"sha256": "0" * 64}, f"but fetch.dataset.sha256 is {'0' * 64}"),
        ({"source": "nowhere.json"}, "nowhere.json is not a file"),
    ]:
        done = run("dataset", **({"source": "rows.jsonl"} | changes))
        assert done.returncode == 1
        assert f"fetch@dataset: error: {changes.get('source', 'rows.jsonl')}" in done.stderr
        assert sentence in done.stderr
        assert "Traceback" not in done.stderr
        assert summary(tmp_path) == earlier
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["raw"]


def test_embedded_dataset(run: Run, tmp_path: Path) -> None:
    embedded = ROOT / "data" / "embedded" / "dataset.jsonl"
    if not embedded.is_file():
        pytest.skip("the embedded dataset is not here yet")
    (tmp_path / "data" / "embedded").mkdir(parents=True)
    shutil.copy(embedded, tmp_path / "data" / "embedded")
    done = run("dataset")
    assert done.returncode == 0, done.stderr
    assert summary(tmp_path)["rejected"] == 0
    assert summary(tmp_path)["records"] >= 1000


def test_base_that_is_not_there(run: Run) -> None:
    done = run("base", source="my-model")
    assert done.returncode == 1
    assert done.stderr.startswith("fetch@base: error: fetch.base.source my-model is not a folder")


def test_a_benchmark_of_ones_own_and_none(run: Run, tmp_path: Path) -> None:
    rows = [{"question": "The sky is", "choices": ["green", "blue"], "answer": "B"}, {"question": "x"}]
    (tmp_path / "items.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    done = run("benchmark", source="items.jsonl", task="sky", max_rejected_fraction=0.5)
    assert done.returncode == 0, done.stderr
    assert "1 item and 0 examples of sky\nrejected 1: the choices are missing" in done.stderr
    written = tmp_path / "data" / "benchmark"
    [item] = read_table(written / "items.parquet", ITEMS).to_pylist()
    assert (item["task"], item["choices"], item["answer"], item["role"]) == ("sky", ["green", "blue"], 1, "item")
    assert read_table(written / "rejected.parquet", REJECTED)["source_row"].to_pylist() == [1]
    before = file_sha256(written / "items.parquet")
    failed = run("benchmark", source="items.jsonl", task="sky")
    assert failed.returncode == 1 and "1 of 2 rows are unusable, the first is row 1 of items.jsonl" in failed.stderr
    assert "Traceback" not in failed.stderr and file_sha256(written / "items.parquet") == before
    done = run("benchmark", source=None)
    assert done.returncode == 0 and "no benchmark" in done.stderr
    assert read_table(written / "items.parquet", ITEMS).num_rows == 0


def test_the_embedded_exam_gives_the_same_bytes_twice(run: Run, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "embedded").symlink_to(ROOT / "data" / "embedded")
    written = tmp_path / "data" / "benchmark" / "items.parquet"
    digests = set()
    for _ in range(2):
        done = run("benchmark")
        assert done.returncode == 0, done.stderr
        digests.add(file_sha256(written))
    assert len(digests) == 1
    items = read_table(written, ITEMS)
    assert items.num_rows == 354 and set(items["role"].to_pylist()) == {"item"}
