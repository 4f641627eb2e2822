"""Real input: the chapter's dataset, by path and by URL, under both templates and under `chapter-parity`."""

import json
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from reprotune.artifacts import FORMATTED, RECORDS, read_table
from reprotune.dataset.collate import TokenRows
from reprotune.params.sections.finetune import FinetuneParams
from reprotune.training.batches import epoch_batches, micro_batches

pytestmark = [pytest.mark.pipeline, pytest.mark.slow]

PREPARATION = ["fetch@dataset", "format", "split", "tokenize"]
SHA256 = "7e09a9af353722ca15c18bc580f093f9c39d3178335a75177319cb1e1d163944"


@pytest.fixture(scope="module")
def dataset(shared_data: Path) -> Path:
    return (shared_data / "llms-from-scratch/instruction-data.json").resolve()


@pytest.fixture
def url(dataset: Path) -> Iterator[str]:
    """The dataset's address on a web server of this machine."""
    handler = partial(QuietHandler, directory=str(dataset.parent))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/{dataset.name}"
        server.shutdown()
        thread.join()


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


def prepare(clone, **params: object) -> list[str]:
    """Set params, make the deps follow, and run the pipeline up to the tokens."""
    clone.set_params(params)
    clone.run("reprotune", "deps", "--fix")
    return clone.repro("tokenize")


def test_by_path_with_alpaca(clone, dataset):
    """All 1100 rows come through, and each formatted row spells its record."""
    assert prepare(clone, **{"fetch.dataset.source": str(dataset)}) == PREPARATION
    assert clone.read_json("data/raw/summary.json")["sha256"] == SHA256
    records = {row["id"]: row for row in read_table(clone.root / "data/raw/records.parquet", RECORDS).to_pylist()}
    source = json.loads(dataset.read_text(encoding="utf-8"))
    assert [records_row["output"] for records_row in records.values()] == [row["output"] for row in source]
    for split in ("train", "validation", "test"):
        for row in read_table(clone.root / f"data/formatted/{split}.parquet", FORMATTED).to_pylist():
            record = records[row["id"]]
            assert row["prompt"].startswith("Below is an instruction that describes a task. Write a response that")
            assert f"### Instruction:\n{record['instruction']}" in row["prompt"]
            assert row["prompt"].endswith("\n\n### Response:\n")
            assert row["response"] == record["output"]
    tokens = clone.read_json("data/tokens/summary.json")
    assert sum(tokens[split]["rows"] for split in tokens) == len(source)


def test_by_url_with_phi3(clone, url):
    params = {"fetch.dataset.source": url, "fetch.dataset.sha256": SHA256, "format.template": "phi3"}
    assert prepare(clone, **params) == PREPARATION
    rows = read_table(clone.root / "data/formatted/train.parquet", FORMATTED).to_pylist()
    assert all(row["prompt"].startswith("<|user|>\n") for row in rows)
    assert all("<|assistant|>" in row["prompt"] for row in rows)
    assert prepare(clone, **{"fetch.dataset.source": url}) == []


def test_chapter_parity_gives_the_chapters_batches(clone, dataset):
    """Split, test rows and the shapes of all batches of the first epoch, as printed in the chapter's notebook."""
    clone.run("reprotune", "preset", "apply", "chapter-parity")
    sources = {"fetch.dataset.source": str(dataset), "fetch.base.source": "embedded"}  # with GPT-2's tokenizer, too
    assert prepare(clone, **sources) == PREPARATION
    assert clone.read_json("data/split/summary.json")["rows"] == {"train": 935, "test": 110, "validation": 55}
    test_rows = read_table(clone.root / "data/split/test.parquet", RECORDS)["source_row"].to_pylist()
    assert test_rows == list(range(935, 1045))

    params = FinetuneParams.load("finetune", clone.root / "params.yaml")
    assert (params.batching, params.batch_size, params.drop_last, params.seed) == ("dynamic", 8, True, 123)
    train = TokenRows.read(clone.root / "data/tokens/train.parquet")
    batches = [batch for chosen in epoch_batches(train, 0, params) for batch in micro_batches(train, chosen, params)]
    shapes = [list(batch.input_ids.shape) for batch in batches]
    assert len(shapes) == 116
    assert shapes[:3] == [[8, 61], [8, 76], [8, 73]]
    assert shapes[-1] == [8, 69]
    assert sum(rows * width for rows, width in shapes) == 65_080
    assert sum(len(batch.trained) for batch in batches) == 52_335
