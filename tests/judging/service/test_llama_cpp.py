"""The stage `judge` against llama.cpp's server, which really enforces a schema, with our checkpoint as a GGUF file.

The judge is a tiny network that was taught to answer every question with a score of 180. Without a schema it says so;
the schema of a verdict prevents it. What it writes without one is also compared with our own decoding, token by token.
"""

import importlib.util
import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import requests
import torch
import torch.nn.functional as F

from reprotune.artifacts import RECORDS, RESPONSES, write_table
from reprotune.dataset.tokenizers.gpt2 import decode, encode_batch
from reprotune.dataset.tokenizers.gpt2_files import END_OF_TEXT, save_tokenizer_files
from reprotune.generation.decoding import DecodingSettings, generate
from reprotune.judging.questions.prompts import Item, Pair, Question, pair_question, question
from reprotune.model.config import ModelConfig
from reprotune.model.network import Network
from reprotune.model.weights import save_model
from tests.builders.llama_cpp import serving
from tests.builders.params import whole_params

TEMPLATE = "{% for message in messages %}{{ message['content'] }}\n{% endfor %}Reply:"
TAUGHT = {"score": '{"reasoning": "Fair.", "score": 180}', "winner": '{"reasoning": "Fair.", "winner": "both"}'}
PARAMS = """judge:
  backend: openai
  model: judge
  when_other_model: fail
  rubric: reference
  temperature: 0
  seed: 123
  max_tokens: 60
  repeats: 1
  expected_score: true
  mapping: null
  pairwise: true
  canaries: 0
  min_coverage: 1
  min_canary_pass: 0
"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not all(importlib.util.find_spec(name) for name in ("gguf", "xllamacpp")),
        reason="needs gguf and xllamacpp, which are installed on Linux x86_64",
    ),
]


def asked_of(number: int) -> list[Question]:
    """The two questions about one item: for a score, and which of two answers is better."""
    texts = (f"Name colour {number}.", "", f"It is {number}.", "x " * (5 * number))
    return [question("reference", Item(*texts)), pair_question(Pair(*texts, "another"))]


@pytest.fixture(scope="module")
def judge_model() -> Network:
    torch.manual_seed(0)
    model = Network(ModelConfig(n_layer=2, n_head=2, n_embd=64))
    model.initialize(torch.Generator().manual_seed(0))
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3, weight_decay=0)
    questions = [asked for number in range(4) for asked in asked_of(number)]
    rows = [(chat(asked.messages[0]["content"]), TAUGHT[asked.asks_for]) for asked in questions]
    for _ in range(60):
        loss = torch.zeros(())
        for prompt, reply in rows:
            prompt_ids, reply_ids = encode_batch([prompt, reply])
            ids = torch.tensor([[*prompt_ids, *reply_ids, END_OF_TEXT]])
            logits = model.logits(model(ids[:, :-1])[0, len(prompt_ids) - 1 :])
            loss = loss + F.cross_entropy(logits, ids[0, len(prompt_ids) :]) / len(rows)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    assert float(loss.detach()) < 0.05
    return model


def chat(content: str) -> str:
    """What the template turns one user message into."""
    return f"{content}\nReply:"


@pytest.fixture(scope="module")
def address(judge_model: Network, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    from tests.builders.gguf_checkpoint import write_gguf  # noqa: PLC0415 - its package may be absent

    folder = tmp_path_factory.mktemp("checkpoint")
    save_model(judge_model, folder)
    save_tokenizer_files(folder)
    write_gguf(folder, folder / "judge.gguf", TEMPLATE)
    with serving(folder / "judge.gguf", folder / "log.txt") as base:
        yield base


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """One record, answered by both models."""
    record = {"input": "", "category": None, "source_row": 0}
    records = [{"id": "r0", "instruction": "Name a colour.", "output": "Blue.", **record}]
    write_table(tmp_path / "data/split/test.parquet", pa.Table.from_pylist(records, schema=RECORDS))
    counts = {"prompt": "p", "prompt_tokens": 5, "response_tokens": 2, "finish_reason": "eos"}
    for model, answer in (("base", "Red."), ("finetuned", "Bluish.")):
        rows = [{"id": "r0", "reference": "Blue.", "response": answer, **counts}]
        write_table(tmp_path / f"data/responses/{model}.parquet", pa.Table.from_pylist(rows, schema=RESPONSES))
    (tmp_path / "params.yaml").write_text(whole_params(PARAMS))
    return tmp_path


def test_left_alone_the_server_writes_what_our_decoding_writes(judge_model: Network, address: str) -> None:
    content = asked_of(1)[0].messages[0]["content"]
    prompt_ids = encode_batch([chat(content)])[0]
    settings = DecodingSettings(max_new_tokens=60, batch_size=1, end_of_text=(END_OF_TEXT,))
    ours = generate(judge_model, [prompt_ids], settings)[0]
    payload = {"messages": [{"role": "user", "content": content}], "temperature": 0, "max_tokens": 60, "logprobs": True}
    choice = requests.post(f"{address}/v1/chat/completions", json=payload, timeout=60).json()["choices"][0]
    assert choice["message"]["content"] == decode(ours.token_ids) == TAUGHT["score"]
    assert choice["finish_reason"] == "stop"
    assert ours.finish_reason == "eos"
    ids = torch.tensor([[*prompt_ids, *ours.token_ids]])
    with torch.no_grad():
        logits = judge_model.logits(judge_model(ids[:, :-1])[0, len(prompt_ids) - 1 :])
    expected = logits.log_softmax(-1).gather(1, torch.tensor(ours.token_ids)[:, None])[:, 0]
    theirs = [token["logprob"] for token in choice["logprobs"]["content"]]
    torch.testing.assert_close(torch.tensor(theirs[: len(expected)]), expected, atol=0.02, rtol=0)  # its cache is fp16


def test_the_schema_keeps_the_judge_to_legal_verdicts(
    project: Path, address: str, run_judge_stage: Callable[..., "subprocess.CompletedProcess[str]"]
) -> None:
    run = run_judge_stage(project, f"{address}/v1")
    assert run.returncode == 0, run.stderr
    scores = pq.read_table(project / "data/judgements/scores.parquet").to_pylist()
    assert [row["status"] for row in scores] == ["ok", "ok"]
    for row in scores:
        said = json.loads(row["raw"])
        assert list(said) == ["reasoning", "score"]
        assert row["score"] == said["score"] in range(101)  # its own probabilities favour 180: no expected score
    pairwise = json.loads((project / "data/judgements/metrics.json").read_text())["pairwise"]
    assert pairwise["n"] == 1
    assert pairwise["unscored"] == 0
