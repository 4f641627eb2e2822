"""A preset on top of a person's own dataset, columns and judge."""

import csv
import json

import pytest

from reprotune.params.values import flattened, read_document
from tests.builders.judge_service import ScriptedJudge

pytestmark = pytest.mark.pipeline

COLUMNS = {"instruction": "question", "input": "context", "output": "answer", "category": "kind"}


def test_own_data_columns_and_judge_survive_every_preset_and_the_pipeline_follows_it(clone, service: ScriptedJudge):
    embedded = (clone.root / "data/embedded/dataset.jsonl").read_text(encoding="utf-8")
    rows = [json.loads(line) for line in embedded.splitlines()]
    with (clone.root / "data/mine.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS.values())
        writer.writerows([row.get(field, "") for field in COLUMNS] for row in rows)
    own = {
        "fetch.dataset.source": "data/mine.csv",
        **{f"fetch.dataset.columns.{field}": name for field, name in COLUMNS.items()},
        "judge.backend": "openai",
        "judge.model": "mine",
        "judge.canaries": 3,
        "judge.min_coverage": 0.0,
        "judge.min_canary_pass": 0.0,
    }
    clone.set_params(own)
    clone.edit("params.yaml", lambda text: text.replace("canaries: 3", "canaries: 3  # enough for a start"))
    clone.run("reprotune", "deps", "--fix")
    address = f"OPENAI_BASE_URL=http://{service.address}/v1"
    clone.run("env", address, "dvc", "repro")
    written = flattened(read_document(clone.root / "params.yaml"))

    applied = clone.run("reprotune", "preset", "apply", "phi3")
    assert applied.stdout.splitlines()[0] == "format.template: alpaca -> phi3"
    assert flattened(read_document(clone.root / "params.yaml")) == written | {"format.template": "phi3"}
    clone.run("env", address, "dvc", "repro")
    assert clone.read_json("data/raw/summary.json")["records"] == len(rows)
    assert "openai:mine" in clone.read_json("metrics/scores.json")["method"]

    for name in ("chapter-small", "masked", "chapter-parity", "control", "lora", "unmasked", "embedded"):
        shown = clone.run("reprotune", "preset", "apply", name).stdout
        assert not [line for line in shown.splitlines() if line.startswith(("fetch.dataset", "judge."))]
    text = (clone.root / "params.yaml").read_text(encoding="utf-8")
    for line in (
        "source: data/mine.csv",
        "instruction: question",
        "backend: openai",
        "canaries: 3  # enough for a start",
    ):
        assert line in text
    assert clone.run("reprotune", "plan").stdout.count("fetch@dataset") == 1
    clone.run("reprotune", "preset", "apply", "embedded", "--reset")
    assert "# enough for a start" in (clone.root / "params.yaml").read_text(encoding="utf-8")
