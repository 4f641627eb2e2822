"""The stage `judge` without a judge: the offline composite."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import stages.judge
from reprotune.artifacts import CHECKED_RECORDS, RECORDS, RESPONSES, SCORES, read_table, write_table
from reprotune.errors import UserError
from reprotune.judging.contracts import CHECKED

CHECKS_FILE = stages.judge.OUTPUT / "checks.parquet"
SCORES_FILE = stages.judge.OUTPUT / "scores.parquet"
PARAMS = """judge:
  backend: offline
  model: llama3
  when_other_model: fail
  rubric: reference
  temperature: 0
  seed: 123
  max_tokens: 256
  repeats: 1
  expected_score: false
  mapping: null
  pairwise: true
  canaries: 2
  min_coverage: 0.95
  min_canary_pass: 0.5
"""


def write_records(outputs: list[str]) -> None:
    rows = [
        {"id": f"r{n}", "instruction": "i", "input": "", "output": text, "category": "c", "source_row": n}
        for n, text in enumerate(outputs)
    ]
    write_table(stages.judge.RECORDS_PATH, pa.Table.from_pylist(rows, schema=RECORDS))


def write_responses(model: str, references: list[str], texts: list[str]) -> None:
    counts: dict[str, Any] = {"prompt": "p", "prompt_tokens": 1, "response_tokens": 1, "finish_reason": "eos"}
    rows = [
        {"id": f"r{n}", "reference": reference, "response": text, **counts}
        for n, (reference, text) in enumerate(zip(references, texts, strict=True))
    ]
    write_table(stages.judge.RESPONSES_PATHS[model], pa.Table.from_pylist(rows, schema=RESPONSES))


@pytest.fixture
def references(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A project folder with the answers of two models; returns the references."""
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(PARAMS)
    references = ["The cat sat.", "It is 7.", "Oslo is the capital."]
    write_records(references)
    write_responses("base", references, ["", "What?", "Bergen is the capital."])
    write_responses("finetuned", references, ["The cat sat", "It is 8.", "Oslo is the capital."])
    return references


def test_scores_metrics_and_bytes(references: list[str]) -> None:
    stages.judge.main()
    scores = read_table(stages.judge.OUTPUT / "scores.parquet", SCORES).to_pylist()
    assert [(row["model"], row["id"], row["status"]) for row in scores] == [
        ("base", "r0", "empty"),
        ("base", "r1", "ok"),
        ("base", "r2", "ok"),
        ("finetuned", "r0", "exact"),
        ("finetuned", "r1", "ok"),
        ("finetuned", "r2", "exact"),
    ]
    assert {row["method"] for row in scores} == {"offline_composite"}
    metrics = json.loads((stages.judge.OUTPUT / "metrics.json").read_text())
    assert metrics["method"] == "offline_composite"
    assert metrics["base"]["coverage"] == 1 and metrics["base"]["n"] == 3
    assert metrics["finetuned"]["score"] > metrics["base"]["score"]
    assert metrics["difference"]["n"] == 3 and metrics["difference"]["score"] == pytest.approx(
        metrics["finetuned"]["score"] - metrics["base"]["score"]
    )
    assert metrics["health"]["canaries_reference"] == 1 and metrics["health"]["canaries_empty"] == 1
    assert (metrics["pairwise"]["wins"], metrics["pairwise"]["n"]) == (3, 3)
    assert (stages.judge.OUTPUT / "verdicts.jsonl").read_text() == ""
    first = {path.name: path.read_bytes() for path in stages.judge.OUTPUT.iterdir()}
    stages.judge.main()
    assert {path.name: path.read_bytes() for path in stages.judge.OUTPUT.iterdir()} == first


def test_responses_without_a_row(references: list[str]) -> None:
    write_responses("finetuned", references[:2], ["a", "b"])
    with pytest.raises(UserError, match=r"finetuned.parquet has no row r2, but data/split/test.parquet does"):
        stages.judge.main()


def test_responses_with_a_foreign_row(references: list[str]) -> None:
    write_records(references[:2])
    with pytest.raises(UserError, match=r"test.parquet has no row r2, but data/responses/base.parquet does"):
        stages.judge.main()


def test_responses_to_other_records(references: list[str]) -> None:
    write_responses("base", ["The dog sat.", *references[1:]], ["a", "b", "c"])
    with pytest.raises(UserError, match=r"base.parquet: the reference of row r0 differs"):
        stages.judge.main()


def test_nothing_to_judge(references: list[str]) -> None:
    write_records([])
    with pytest.raises(UserError, match=r"has no rows.*split\.test"):
        stages.judge.main()


def test_a_stored_mapping_is_applied_and_named(references: list[str]) -> None:
    stages.judge.main()
    before = {(row["model"], row["id"]): row["score"] for row in read_table(SCORES_FILE, SCORES).to_pylist()}
    error = {"mean_absolute_error": 7.5}
    provenance = {"n": 20, "scores": "offline_composite", "cross_validated": error}
    mapping = {"kind": "isotonic", "scores": [0, 100], "labels": [0, 50], "provenance": provenance}
    Path("mine.json").write_text(json.dumps(mapping))
    Path("params.yaml").write_text(PARAMS.replace("mapping: null", "mapping: mine.json"))
    stages.judge.main()
    rows = read_table(SCORES_FILE, SCORES).to_pylist()
    assert {(row["model"], row["id"]): row["score"] * 2 for row in rows} == pytest.approx(before)
    metrics = json.loads((stages.judge.OUTPUT / "metrics.json").read_text())
    assert metrics["mapping"]["held_out"] == error and metrics["mapping"]["kind"] == "isotonic"
    assert metrics["method"] == f"offline_composite:mapped:{metrics['mapping']['sha256'][:8]}" == rows[0]["method"]
    provenance["scores"] = "ollama:llama3:reference:12345678"
    Path("mine.json").write_text(json.dumps(mapping))
    with pytest.raises(UserError, match=r"mine\.json was fitted to scores of ollama.*, not of offline_composite"):
        stages.judge.main()
    Path("mine.json").unlink()
    with pytest.raises(UserError, match=r"mine\.json is missing: fit a new one"):
        stages.judge.main()


def test_rows_with_checks_are_figured_beside_trivial_answers(references: list[str]) -> None:
    stages.judge.main()
    assert "checks" not in json.loads((stages.judge.OUTPUT / "metrics.json").read_text())
    assert read_table(CHECKS_FILE, CHECKED).num_rows == 0
    rows = read_table(stages.judge.RECORDS_PATH, RECORDS).to_pylist()
    rows = [row | {"checks": '[{"kind": "includes", "text": "oslo"}]' if row["id"] == "r2" else None} for row in rows]
    write_table(stages.judge.RECORDS_PATH, pa.Table.from_pylist(rows, schema=CHECKED_RECORDS))
    stages.judge.main()
    checks = json.loads((stages.judge.OUTPUT / "metrics.json").read_text())["checks"]
    found = {model: checks[model]["rows_strict"] for model in ("base", "finetuned", "echo", "empty")}
    assert (checks["n"], found) == (1, {"base": 0, "finetuned": 1, "echo": 0, "empty": 0})
    assert [row["model"] for row in read_table(CHECKS_FILE, CHECKED).to_pylist()] == ["base", "finetuned", "echo"]


def test_another_opponent(references: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    outputs = [{"instruction": "i", "output": "Oslo is the capital.", "generator": "gpt"}]
    Path("theirs.json").write_text(json.dumps([*outputs, {"instruction": "else", "output": "x", "generator": "gpt"}]))
    Path("params.yaml").write_text(PARAMS.replace("pairwise: true", "pairwise: true\n  against: theirs.json"))
    stages.judge.main()
    pairs = json.loads((stages.judge.OUTPUT / "metrics.json").read_text())["pairwise"]
    assert (pairs["against"], pairs["n"], pairs["unanswered"], pairs["unmatched"]) == ("gpt", 3, 0, 1)
    assert (pairs["wins"], pairs["identical"]) == (2, 1)  # one row's instruction is every row's here
    assert "gpt has no answer to 0 test rows, and 1 answer to what no test row asks" in capsys.readouterr().err
    Path("params.yaml").write_text(PARAMS.replace("pairwise: true", "pairwise: false\n  against: gone.json"))
    stages.judge.main()  # nothing is compared, so nothing is read
