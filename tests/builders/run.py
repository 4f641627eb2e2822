"""What a finished run leaves behind: a complete set of synthetic artifacts, and the same run after a change."""

import csv
import random
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ruamel.yaml import YAML

from reprotune.artifacts import RECORDS, RESPONSES, SCORES, write_json, write_table, write_text
from reprotune.compare.snapshot import Snapshot, load_snapshot
from reprotune.preference.standing import standing
from tests.builders.benchmark import write_exam

ROOT = Path(__file__).resolve().parents[2]

HOSTILE = [
    "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">",
    "{{ 7 * 7 }} {% raw %} </script><!-- <style>body{display:none}</style>",
    "W" * 3000,
    "right to left: \u202egnp.exe\u202c and \u05e9\u05dc\u05d5\u05dd \u0645\u0631\u062d\u0628\u0627",
    "control \x00\x07\x1b[31m characters\nand lines\n\n\tand tabs",
    "Z\u0351\u036b\u0343\u036a\u0302" * 60,
    "'\" onmouseover='x' & &amp; \u2028 emoji \U0001f469\u200d\U0001f680",
]
TASKS = [
    ("spelling", "Correct the spelling of the sentence.", "The quik brown fox jumps ovr the lazy dog."),
    ("arithmetic", "What is 17 times 23?", ""),
    ("rewriting", "Rewrite the sentence in the passive voice.", "The chef cooks the meal every day."),
    ("classification", "Is the word a noun, a verb or an adjective?", "quickly"),
]

SUBJECTS = [task[0] for task in TASKS] + HOSTILE[:5]


@pytest.fixture(scope="session")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The artifacts, written once."""
    data = tmp_path_factory.mktemp("artifacts") / "data"
    write_artifacts(data)
    return data


@pytest.fixture
def workspace(artifacts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with params.yaml and every artifact that the report reads; also the current folder."""
    (tmp_path / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    shutil.copytree(artifacts, tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_artifacts(data: Path, rows: int = 60) -> None:
    """Write artifacts with `rows` test rows under `data`; the last ones hold hostile text in every column."""
    draw = random.Random(7)
    records, scores = [], []
    responses: dict[str, list[dict[str, Any]]] = {"base": [], "finetuned": []}
    for index in range(rows):
        category, instruction, material = TASKS[index % len(TASKS)]
        reference = f"The wanted answer to task {index}, which takes a short sentence or two to give in full."
        texts = {"base": "The the the the the " * 6, "finetuned": f"An answer to task {index}, nearly as wanted."}
        hostile = HOSTILE[rows - 1 - index] if index >= rows - len(HOSTILE) else None
        if hostile is not None:
            category, instruction, material, reference = hostile, hostile, hostile, hostile
            texts = {"base": hostile, "finetuned": hostile}
        identifier = f"{index:016x}"
        records.append(record(identifier, index, category if index % 9 else None, instruction, material, reference))
        for model, text in texts.items():
            status = "empty" if model == "base" and index % 7 == 0 else "exact" if index % 11 == 10 else "ok"
            level = 12 if model == "base" else 58
            score = {"empty": 0.0, "exact": 100.0}.get(status, min(99.0, max(0.0, draw.gauss(level, 20))))
            given = "" if status == "empty" else text
            responses[model].append(response(identifier, reference, given, "eos" if index % 5 else "length"))
            scores.append(scored(identifier, model, status, score))
    write_table(data / "split/test.parquet", pa.Table.from_pylist(records, schema=RECORDS))
    for model, answers in responses.items():
        write_table(data / f"responses/{model}.parquet", pa.Table.from_pylist(answers, schema=RESPONSES))
    scores.sort(key=lambda row: (row["model"], row["id"]))
    write_table(data / "judgements/scores.parquet", pa.Table.from_pylist(scores, schema=SCORES))
    write_json(data / "judgements/metrics.json", judged(rows))
    write_json(data / "preference/metrics.json", {**standing([], {}, 0, 1.5, None), "outdated": 0, "scorers": {}})
    write_training(data)
    write_summaries(data)
    write_exam(data, SUBJECTS)
    write_export(data)


def record(
    identifier: str, index: int, category: str | None, instruction: str, material: str, reference: str
) -> dict[str, Any]:
    return {
        "id": identifier,
        "instruction": instruction,
        "input": material,
        "output": reference,
        "category": category,
        "source_row": index,
    }


def response(identifier: str, reference: str, text: str, finish_reason: str) -> dict[str, Any]:
    return {
        "id": identifier,
        "prompt": "prompt",
        "reference": reference,
        "response": text,
        "prompt_tokens": 30,
        "response_tokens": 12,
        "finish_reason": finish_reason,
    }


def scored(identifier: str, model: str, status: str, score: float | None) -> dict[str, Any]:
    statistics = ("exact_match", "chrf", "rouge_l", "token_f1", "number_agreement", "repetition", "length_ratio")
    return {
        "id": identifier,
        "model": model,
        "status": status,
        "score": score,
        "method": "offline_composite",
        "raw": None,
        **dict.fromkeys(statistics, 0.5),
    }


def judged(rows: int) -> dict[str, Any]:
    """Return data/judgements/metrics.json."""

    def model_scores(score: float) -> dict[str, Any]:
        return {
            "score": score,
            "n": rows,
            "stderr": 2.1,
            "stderr_clustered": None,
            "ci95_low": score - 4.2,
            "ci95_high": score + 4.2,
            "coverage": 1.0,
            "unscored": 0,
            "exact_match": 0.09,
            "chrf": 0.41,
            "rouge_l": 0.38,
            "token_f1": 0.4,
            "repetition": 0.12,
            "length_ratio": 1.1,
            "status": {"ok": rows - 14, "exact": 5, "empty": 9, "refused": 0},
        }

    names = [*(task[0] for task in TASKS), HOSTILE[0], HOSTILE[2], HOSTILE[3]]
    return {
        "method": "offline_composite",
        "base": model_scores(12.4),
        "finetuned": model_scores(57.9),
        "difference": {
            "score": 45.5,
            "stderr": 2.8,
            "stderr_clustered": 3.1,
            "verdict": "better",
            "ci95_low": 39.9,
            "ci95_high": 51.1,
            "n": rows,
            "p_value": 0.0001,
            "smallest_detectable": 7.9,
        },
        "health": {
            "canaries": 0.95,
            "canaries_reference": 1.0,
            "canaries_foreign": 0.75,
            "canaries_pair": None,
            "canaries_empty": 1.0,
            "canaries_verbose": 1.0,
            "canaries_injection": 1.0,
            "repeat_sd": None,
            "weighted_share": None,
            "probability_mass": None,
            "length_correlation_base": -0.31,
            "length_correlation_finetuned": 0.12,
        },
        "pairwise": {
            "win_rate": 0.875,
            "verdict": "better",
            "ci95_low": 0.77,
            "ci95_high": 0.94,
            "length_adjusted_win_rate": 0.86,
            "length_adjusted_low": 0.75,
            "length_adjusted_high": 0.92,
            "longer_share": 0.4,
            "length_adjusted_unknown": None,
            "n": rows,
            "unscored": 0,
            "coverage": 1.0,
            "wins": rows - 10,
            "losses": 5,
            "ties": 5,
            "identical": 3,
            "mean_length_difference": -12.5,
            "position_bias": None,
            "first_share": None,
        },
        "categories": {
            name: {
                "n": 12,
                "base": 10.0 + index,
                "finetuned": 70.0 - 9 * index,
                "base_low": 5.0 if index else None,
                "base_high": 15.0 + index if index else None,
                "finetuned_low": 61.0 - 9 * index if index else None,
                "finetuned_high": 79.0 - 9 * index if index else None,
                "verdict": "better" if index else "too few rows",
                "base_exact": 0.0,
                "finetuned_exact": 0.1,
            }
            for index, name in enumerate(names)
        },
    }


def write_training(data: Path, steps: int = 180) -> None:
    write_json(
        data / "model/metrics.json",
        {
            "precision": "fp32",
            "steps": steps,
            "epochs": 3.0,
            "stopped_early": False,
            "trained_parameters": 1_234_567,
            "tokens_seen": 345_678,
            "trained_tokens_seen": 123_456,
            "padding_share": 0.0312,
            "initial": {"validation_loss": 4.2031},
            "best": {"step": 120, "validation_loss": 1.3121},
            "final": {"train_loss": 0.9121, "validation_loss": 1.3355},
        },
    )
    draw = random.Random(3)
    with (data / "model/loss.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["step", "epoch", "tokens_seen", "learning_rate", "train_loss", "validation_loss"])
        for step in range(1, steps + 1):
            train_loss = 0.9 + 3.3 * 0.97**step + draw.gauss(0, 0.08)
            validation = {60: 1.6411, 120: 1.3121, 180: 1.3355}.get(step, "")
            writer.writerow([step, round(step / 60, 6), step * 1920, 0.001, round(train_loss, 6), validation])
    write_json(
        data / "speed/finetune.json",
        {
            "seconds": 93.412,
            "tokens_per_second": 3700.4,
            "trained_tokens_per_second": 1321.6,
            "peak_memory_mb": 912.5,
            "device": "cpu",
            "made_with": {"python": "3.11.7", "torch": "2.13.0+cpu", "constraints_sha256": "82" * 32},
            "trained": {
                "at": "2026-11-21T17:53:02Z",
                "system": "Linux x86_64",
                "commit": "5b94df95" * 5,
                "uncommitted": ["params.yaml", HOSTILE[0]],
            },
        },
    )


def write_summaries(data: Path) -> None:
    write_json(
        data / "raw/summary.json",
        {"rows": 1010, "records": 1003, "rejected": 7, "sha256": "7e" * 32, "reasons": {"output is empty": 7}},
    )
    splits = {"train": 802, "validation": 71, "test": 60}
    write_json(
        data / "split/summary.json",
        {"rows": splits, "near_duplicate_groups": 5, "rows_in_groups": 12, "rows_moved": 3},
    )
    write_json(
        data / "formatted/summary.json",
        {
            "template": "alpaca",
            "response_header": "in_prompt",
            "rows": splits,
            "rows_with_marker": {"### Response:": 0, "### Instruction:": 1},
        },
    )
    tokens = {
        name: {
            "rows": rows,
            "tokens": rows * 75,
            "trained_token_share": 0.2931,
            "length": {"min": 31, "median": 68, "p95": 131, "max": 208},
            "truncated_responses": 0,
            "dropped": 1,
            "padding_share": {"static": 0.641, "dynamic": 0.282, "bucketed": 0.021, "packed": 0.0},
        }
        for name, rows in splits.items()
    }
    write_json(data / "tokens/summary.json", tokens)


def write_export(data: Path) -> None:
    shares = {"same_prompts": 1.0, "same_ids": 1.0, "same_answers": 0.95}
    write_json(
        data / "export/gguf/parity.json",
        {
            "checked_with": "xllamacpp 2026.10",
            "why_not": None,
            "rows": 20,
            "files": {"f16": {"bytes": 34_373_056, "sha256": "ab" * 32, **shares}},
            "omitted": {"q4_0": HOSTILE[0]},
        },
    )
    write_text(data / "formatted/chat_template.jinja", "the template")
    write_json(
        data / "formatted/messages.json", {"input_before": "\n\n### Input:\n", "input_after": "", "refused": None}
    )


@pytest.fixture
def snapshots(artifacts: Path, tmp_path: Path) -> tuple[Snapshot, Snapshot]:
    """Two runs: the artifacts, and the same after a change of params, answers, scores, losses and data."""
    params = YAML(typ="safe").load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    before = _whole(artifacts, tmp_path / "before")
    after = _whole(artifacts, tmp_path / "after")
    _change(after)
    changed = {**params, "finetune": {**params["finetune"], "epochs": 5, "schedule": HOSTILE[0]}}
    return load_snapshot(before, "main (1a2b3c4d)", params, []), load_snapshot(after, "workspace", changed, [])


def _whole(artifacts: Path, data: Path) -> Path:
    """Copy the artifacts and add the splits that the report does not read."""
    shutil.copytree(artifacts, data)
    for split, first, rows in (("train", 1000, 40), ("validation", 2000, 6)):
        records = [
            record(f"{first + row:016x}", first + row, "spelling", f"Instruction {first + row}", "", "The output.")
            for row in range(rows)
        ]
        write_table(data / f"split/{split}.parquet", pa.Table.from_pylist(records, schema=RECORDS))
    return data


def _change(data: Path) -> None:
    """Improve every third fine-tuned answer, worsen every tenth, drop the first test row, move and rewrite records."""
    first = f"{0:016x}"
    scores = [row for row in pq.read_table(data / "judgements/scores.parquet").to_pylist() if row["id"] != first]
    answers: dict[str, str] = {}
    for row in scores:
        index = int(row["id"], 16)
        if row["model"] == "finetuned" and index % 3 == 1:
            row["score"] = min(100.0, row["score"] + 35)
            row["exact_match"] = float(index % 6 == 1)
            answers[row["id"]] = f"A much better answer to task {index}."
        elif row["model"] == "finetuned" and index % 10 == 0:
            row["score"] = max(0.0, row["score"] - 45)
            answers[row["id"]] = f"A poor answer to task {index}."
    write_table(data / "judgements/scores.parquet", pa.Table.from_pylist(scores, schema=SCORES))
    for model in ("base", "finetuned"):
        path = data / f"responses/{model}.parquet"
        rows = [row for row in pq.read_table(path).to_pylist() if row["id"] != first]
        if model == "finetuned":
            rows = [{**row, "response": answers.get(row["id"], row["response"])} for row in rows]
        write_table(path, pa.Table.from_pylist(rows, schema=RESPONSES))
    tests = [row for row in pq.read_table(data / "split/test.parquet").to_pylist() if row["id"] != first]
    train = pq.read_table(data / "split/train.parquet").to_pylist()
    validation = pq.read_table(data / "split/validation.parquet").to_pylist()
    validation.append(train.pop())
    train[0] |= {"id": f"{5000:016x}", "output": HOSTILE[0]}
    train.append(record(f"{6000:016x}", 6000, "spelling", "A new instruction", "", "Its output"))
    for split, rows in (("test", tests), ("train", train), ("validation", validation)):
        write_table(data / f"split/{split}.parquet", pa.Table.from_pylist(rows, schema=RECORDS))
    write_exam(data, SUBJECTS, skill=0.7)
    loss = (data / "model/loss.csv").read_text(encoding="utf-8").splitlines()
    lines = [loss[0], *(",".join(_lowered(line.split(","))) for line in loss[1:])]
    (data / "model/loss.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _lowered(cells: list[str]) -> list[str]:
    return [*cells[:4], *(f"{float(cell) * 0.9:.6f}" if cell else "" for cell in cells[4:])]
