"""What the model card says of exam, retention and votes, recounted here from the rows."""

import math
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from reprotune.artifacts import write_json
from reprotune.preference.standing import standing
from reprotune.preference.votes import Vote
from stages.card import main
from tests.builders.benchmark import write_benchmark
from tests.builders.run import HOSTILE


@pytest.fixture
def card(workspace: Path) -> Callable[[], str]:
    """Run the stage and return what it wrote."""

    def write() -> str:
        (workspace / "data/model/model.safetensors").write_bytes(b"weights")
        main()
        return (workspace / "data/export/README.md").read_text(encoding="utf-8")

    return write


def cells(card: str, heading: str) -> dict[str, list[str]]:
    """Return the rows of the table below a heading by their first cell."""
    part = card.partition(f"\n## {heading}")[2].partition("\n## ")[0]
    rows = [line.strip("| ").split(" | ") for line in part.splitlines() if line.startswith("| ")]
    return {row[0].strip(): [cell.strip() for cell in row[1:]] for row in rows}


def test_the_exam_stands_beside_what_needs_no_question(workspace: Path, card: Callable[[], str]) -> None:
    rows = cells(card(), "What it knows: ` exam `, cloze_0shot_plain")
    items = pq.read_table(workspace / "data/benchmark/items.parquet").to_pylist()
    answers = {item["id"]: item["answer"] for item in items}
    share = {}
    for model, name in (("base", "base model"), ("finetuned", "this model")):
        asked = pq.read_table(workspace / f"data/benchmarked/{model}.parquet").to_pylist()
        right = [row["logprobs"].index(max(row["logprobs"])) == answers[row["id"]] for row in asked]
        share[name] = sum(right) / len(right)
        assert rows[name][0] == f"{100 * share[name]:.1f}"
        assert rows[name][2] == f"{len(items)}"
        low, high = map(float, rows[name][1].split(" to "))
        assert low < 100 * share[name] < high
    assert rows["difference, item by item"][0] == f"{100 * (share['this model'] - share['base model']):+.1f}"
    constant = max(list(answers.values()).count(position) for position in range(4)) / len(items)
    assert rows["best constant answer (reads no question)"][0] == f"{100 * constant:.1f}"
    assert rows["chance (reads no question)"][0] == "25.0"


def test_retention_is_bits_per_byte_with_its_verdict(workspace: Path, card: Callable[[], str]) -> None:
    text = card()
    rows = cells(text, "What it remembers of plain text")
    for model, name in (("base", "base model"), ("finetuned", "this model")):
        texts = pq.read_table(workspace / f"data/benchmarked/{model}_text.parquet").to_pylist()
        bits = sum(row["nats"] for row in texts) / math.log(2) / sum(row["bytes"] for row in texts)
        assert (rows[name][0], rows[name][2]) == (f"{bits:.4f}", "40")
    assert rows["difference, document by document"][0].startswith("+")
    assert "Fine-tuning forgot: the text is harder to predict than before (p = " in text


def test_without_benchmark_and_votes_there_is_nothing_of_them(workspace: Path, card: Callable[[], str]) -> None:
    write_benchmark(workspace / "data")
    text = card()
    assert "What it knows" not in text and "What it remembers" not in text and "people preferred" not in text
    assert "## What it scored" in text


def test_votes_with_hostile_names(workspace: Path, card: Callable[[], str]) -> None:
    hostile = HOSTILE[0][:40]
    votes = [
        Vote("x.jsonl", str(pair), str(pair), "ada", first, "finetuned", outcome, False, None, None, None, None)
        for first in ("base", hostile)
        for pair, outcome in enumerate([0.0] * 15 + [0.5] * 2 + [1.0])
    ]
    write_json(
        workspace / "data/preference/metrics.json",
        {**standing(votes, {}, 0, 1.5, None), "outdated": 0, "scorers": {}},
    )
    text = card()
    rows = cells(text, "What people preferred")
    assert rows["` finetuned against base `"][:4] == ["15", "1", "2", "93.8%"]
    assert rows["` finetuned against base `"][5] == "better"
    shown = next(name for name in rows if "script" in name)
    assert shown.startswith("` ") and shown.endswith(" `")
    assert text.count("<script>") == text.count("` <script>") + text.count("against <script>")
