"""The results of a finished run, read from the artifacts of all stages and joined by row."""

import csv
import json
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reprotune.artifacts import MODELS, RECORDS, RESPONSES, SCORES, STATISTICS, read_table
from reprotune.errors import UserError

OWN_STATISTICS = (*STATISTICS, "number_agreement")
"""Every statistic of a single answer."""

EXAMPLES = 5
EXAMPLES_SEED = 123


@dataclass(frozen=True)
class Answer:
    """One model's answer to one test row, and how it was scored."""

    response: str
    response_tokens: int
    finish_reason: str
    status: str
    score: float | None
    statistics: dict[str, float | None]
    """What the texts alone say, by the names of `OWN_STATISTICS`."""


@dataclass(frozen=True)
class Row:
    """One test row with both answers; `number` is its place in the test set, from 1."""

    id: str
    number: int
    category: str | None
    instruction: str
    input: str
    reference: str
    base: Answer
    finetuned: Answer

    @property
    def gain(self) -> float | None:
        """Fine-tuned score minus base score; None unless both are scored."""
        if self.base.score is None or self.finetuned.score is None:
            return None
        return self.finetuned.score - self.base.score


@dataclass(frozen=True)
class Results:
    """Everything that the stages measured; JSON objects are as the stages wrote them."""

    judged: dict[str, Any]
    training: dict[str, Any]
    summaries: dict[str, dict[str, Any]]
    """Stage (`raw`, `split`, `formatted`, `tokens`) -> its summary.json."""
    loss: list[dict[str, str]]
    rows: list[Row]

    def scores(self, model: str) -> list[float]:
        """Return the scores of one model's answers, unscored ones left out."""
        return [score for _, score in self.lengths(model)]

    def lengths(self, model: str) -> list[tuple[int, float]]:
        """Return (tokens, score) of one model's answers, unscored ones left out."""
        answers = [row.base if model == "base" else row.finetuned for row in self.rows]
        return [(answer.response_tokens, answer.score) for answer in answers if answer.score is not None]


def load_results(data: Path) -> Results:
    """Read every artifact under `data/`; raises `UserError` if one is missing or they do not belong together."""
    return Results(
        judged=_read_json(data / "judgements/metrics.json"),
        training=_read_json(data / "model/metrics.json"),
        summaries={
            stage: _read_json(data / stage / "summary.json") for stage in ("raw", "split", "formatted", "tokens")
        },
        loss=_read_csv(data / "model/loss.csv"),
        rows=_read_rows(data),
    )


def load_speed(data: Path) -> dict[str, Any]:
    """Read the speed of the training, which is no part of the results: a rerun does not reproduce it."""
    return _read_json(data / "speed/finetune.json")


def pick_examples(rows: list[Row]) -> dict[str, list[Row]]:
    """Choose rows to read: the best and the worst fine-tuned answers, and some drawn at random with a fixed seed.

    No row is chosen twice. Of equal scores, the one with the larger gain over the base model is the better one.
    """
    scored = [row for row in rows if row.finetuned.score is not None]
    ranked = sorted(scored, key=lambda row: (-(row.finetuned.score or 0.0), -(row.gain or 0.0), row.number))
    best = ranked[:EXAMPLES]
    worst = ranked[len(best) :][::-1][:EXAMPLES]
    shown = {row.number for row in best + worst}
    others = [row for row in rows if row.number not in shown]
    drawn = random.Random(EXAMPLES_SEED).sample(others, min(EXAMPLES, len(others)))
    return {"best": best, "worst": worst, "random": sorted(drawn, key=lambda row: row.number)}


def _read_rows(data: Path) -> list[Row]:
    records = {record["id"]: record for record in read_table(data / "split/test.parquet", RECORDS).to_pylist()}
    scores = {
        (score["model"], score["id"]): score
        for score in read_table(data / "judgements/scores.parquet", SCORES).to_pylist()
    }
    responses = {
        model: {row["id"]: row for row in read_table(data / f"responses/{model}.parquet", RESPONSES).to_pylist()}
        for model in MODELS
    }
    rows = []
    for number, identifier in enumerate(responses["base"], start=1):
        record = records.get(identifier)
        if record is None or any((model, identifier) not in scores for model in MODELS):
            raise UserError(
                f"{data}/responses and {data}/judgements do not belong together (row {identifier}): run `dvc repro`"
            )
        base, finetuned = (_answer(responses[model].get(identifier), scores[model, identifier]) for model in MODELS)
        reference = responses["base"][identifier]["reference"]
        texts = (record["category"], record["instruction"], record["input"], reference)
        rows.append(Row(identifier, number, *texts, base, finetuned))
    return rows


def _answer(response: dict[str, Any] | None, score: dict[str, Any]) -> Answer:
    if response is None:
        raise UserError(f"model {score['model']} has no answer to row {score['id']}: run `dvc repro`")
    return Answer(
        response=response["response"],
        response_tokens=response["response_tokens"],
        finish_reason=response["finish_reason"],
        status=score["status"],
        score=score["score"],
        statistics={name: score[name] for name in OWN_STATISTICS},
    )


def _read_json(path: Path) -> dict[str, Any]:
    _check_file(path)
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def _read_csv(path: Path) -> list[dict[str, str]]:
    _check_file(path)
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _check_file(path: Path) -> None:
    if not path.is_file():
        raise UserError(f"{path} is missing: run `dvc repro` (or `dvc pull`) to make it")
