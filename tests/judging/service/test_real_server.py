"""The stage `judge` against a real server: `transformers serve` on a checkpoint that we export.

The model is tiny and random, so it says garbage, but over real HTTP, with a real template and a real tokenizer. The
server replies 200 to options that it ignores (response_format, logprobs), which must not lead to a score.
"""

import importlib.util
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import requests
import torch

from reprotune.artifacts import RECORDS, RESPONSES, write_json, write_table
from reprotune.dataset.tokenizers.gpt2_files import save_tokenizer_files
from reprotune.model.config import ModelConfig
from reprotune.model.network import Network
from reprotune.model.weights import save_model
from tests.builders.params import whole_params

TEMPLATE = "{% for message in messages %}{{ message['role'] }}: {{ message['content'] }}\n{% endfor %}assistant:"
PARAMS = """judge:
  backend: openai
  model: {model}
  when_other_model: fail
  rubric: reference
  temperature: 0
  seed: 123
  max_tokens: 8
  repeats: 1
  expected_score: true
  mapping: null
  pairwise: true
  canaries: 1
  min_coverage: {min_coverage}
  min_canary_pass: 0
"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not all(importlib.util.find_spec(name) for name in ("fastapi", "uvicorn", "openai")),
        reason="needs transformers[serving]",
    ),
]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoint")
    torch.manual_seed(0)
    save_model(Network(ModelConfig(n_layer=1, n_head=1, n_embd=4)), folder)
    save_tokenizer_files(folder)
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    write_json(folder / "tokenizer_config.json", {**settings, "chat_template": TEMPLATE})
    return folder


@pytest.fixture(scope="module")
def address(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The base URL of a running server."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [str(Path(sys.executable).with_name("transformers")), "serve", str(checkpoint), "--port", str(port)]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path_factory.mktemp("hub"))}
    log = tmp_path_factory.mktemp("log") / "server.txt"
    with log.open("w") as output:
        command += ["--host", "127.0.0.1", "--device", "cpu"]
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=subprocess.STDOUT)
    try:
        for _ in range(600):
            assert process.poll() is None, log.read_text()
            try:
                if requests.get(f"http://127.0.0.1:{port}/health", timeout=5).ok:
                    break
            except requests.ConnectionError:
                time.sleep(0.2)
        else:
            raise AssertionError(log.read_text())
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        process.wait(timeout=30)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Two records; each model has an exact answer and one for the judge."""
    record = {"input": "", "category": None, "source_row": 0}
    counts = {"prompt": "p", "prompt_tokens": 5, "response_tokens": 2, "finish_reason": "eos"}
    texts = {"r0": "Oslo.", "r1": "Blue."}
    records = [{"id": key, "instruction": "Name it.", "output": text, **record} for key, text in texts.items()]
    write_table(tmp_path / "data/split/test.parquet", pa.Table.from_pylist(records, schema=RECORDS))
    for model, answer in (("base", "Red."), ("finetuned", "Bluish.")):
        given = {"r0": "Oslo.", "r1": answer}
        rows = [{"id": key, "reference": texts[key], "response": text, **counts} for key, text in given.items()]
        write_table(tmp_path / f"data/responses/{model}.parquet", pa.Table.from_pylist(rows, schema=RESPONSES))
    return tmp_path


def test_garbage_gets_statuses_and_no_scores(
    project: Path, checkpoint: Path, address: str, run_judge_stage: Callable[..., "subprocess.CompletedProcess[str]"]
) -> None:
    def judge(min_coverage: float) -> "subprocess.CompletedProcess[str]":
        (project / "params.yaml").write_text(whole_params(PARAMS.format(model=checkpoint, min_coverage=min_coverage)))
        return run_judge_stage(project, address)

    failed = judge(min_coverage=0.95)
    assert failed.returncode == 1, failed.stderr
    assert "only 50.0% of the answers of model base got a score" in failed.stderr
    assert "Traceback" not in failed.stderr
    replies = (project / ".reprotune/judge/replies.jsonl").read_bytes()
    scores = pq.read_table(project / "data/judgements/scores.parquet").to_pylist()
    statuses = {(row["model"], row["id"]): row["status"] for row in scores}
    assert statuses["base", "r0"] == statuses["finetuned", "r0"] == "exact"
    judged = [row for row in scores if row["id"] == "r1"]
    assert {row["status"] for row in judged} <= {"unparsable", "truncated"}
    assert all(row["score"] is None and row["raw"] for row in judged)
    metrics = json.loads((project / "data/judgements/metrics.json").read_text())
    assert metrics["base"]["coverage"] == 0.5
    assert metrics["health"]["canaries_reference"] == 0
    assert metrics["pairwise"]["unscored"] == 1

    passed = judge(min_coverage=0.5)
    assert passed.returncode == 0, passed.stderr
    assert (project / ".reprotune/judge/replies.jsonl").read_bytes() == replies  # nothing was asked twice
