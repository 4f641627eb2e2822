"""The results of a finished run, read from the artifacts of all stages and joined by row."""

import csv
import io
import math
import random
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from reprotune.artifacts import MODELS, RESPONSES, SCORES, STATISTICS, read_table
from reprotune.errors import UserError
from reprotune.files import read_text
from reprotune.multiple_choice.figures.accuracy import Figures, task_figures
from reprotune.multiple_choice.figures.forgetting import retention_figures
from reprotune.multiple_choice.figures.measured import ITEMS_FILE, NOTHING, Measured, read_measured
from reprotune.multiple_choice.subjects import GROUPS
from reprotune.records import read_records
from reprotune.results.documents import SUMMARIES, Judged, Speed, Training, read_checked
from reprotune.results.words import FINISH_WORDS, STATUS_WORDS

OWN_STATISTICS = (*STATISTICS, "number_agreement")
"""Every statistic of a single answer."""

REMEDY = "run `dvc repro` (or `dvc pull`) to make it"
LOSS_COLUMNS = ("step", "epoch", "train_loss", "validation_loss")

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
    measured: Measured = NOTHING
    """What both models said of a benchmark's choices and of plain text."""

    @cached_property
    def figures(self) -> dict[str, Figures]:
        """The figures of the benchmark by formulation; empty where there is none."""
        return task_figures(self.measured, GROUPS)

    @cached_property
    def retention(self) -> dict[str, Any]:
        """The loss of both models on plain text; empty where there is none."""
        return retention_figures(self.measured)

    def scores(self, model: str) -> list[float]:
        """Return the scores of one model's answers, unscored ones left out."""
        return [score for _, score in self.lengths(model)]

    def lengths(self, model: str) -> list[tuple[int, float]]:
        """Return (tokens, score) of one model's answers, unscored ones left out."""
        answers = [row.base if model == "base" else row.finetuned for row in self.rows]
        return [(answer.response_tokens, answer.score) for answer in answers if answer.score is not None]


def load_results(data: Path, whole: bool = True) -> Results:
    """Read every artifact under `data/`; raises `UserError` if one is missing, damaged or of another run.

    Without `whole`, keys of JSON files may be missing and so may benchmarks, as they are in runs of earlier versions.
    """
    has_benchmark = whole or (data / ITEMS_FILE.removeprefix("data/")).exists()
    return Results(
        judged=read_checked(data / "judgements/metrics.json", Judged, REMEDY, whole),
        training=read_checked(data / "model/metrics.json", Training, REMEDY, whole),
        summaries={
            stage: read_checked(data / stage / "summary.json", kind, REMEDY, whole) for stage, kind in SUMMARIES.items()
        },
        loss=_read_loss(data / "model/loss.csv"),
        rows=_read_rows(data),
        measured=read_measured(data) if has_benchmark else NOTHING,
    )


def load_speed(data: Path) -> dict[str, Any]:
    """Read the speed of the training, which is no part of the results: a rerun does not reproduce it."""
    return read_checked(data / "speed/finetune.json", Speed, REMEDY)


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
    records_file = data / "split/test.parquet"
    records = _by_id(read_records(records_file), records_file)
    scores_file = data / "judgements/scores.parquet"
    listed = read_table(scores_file, SCORES).to_pylist()
    scores = {(score["model"], score["id"]): score for score in listed}
    if len(scores) < len(listed):
        raise UserError(f"{scores_file} scores an answer twice: {REMEDY}")
    files = {model: data / f"responses/{model}.parquet" for model in MODELS}
    responses = {model: _by_id(read_table(file, RESPONSES).to_pylist(), file) for model, file in files.items()}
    rows = []
    for number, identifier in enumerate(responses["base"], start=1):
        record = records.get(identifier)
        if record is None or any((model, identifier) not in scores for model in MODELS):
            raise UserError(
                f"{data}/responses and {data}/judgements do not belong together (row {identifier}): run `dvc repro`"
            )
        base, finetuned = (
            _answer(responses[model].get(identifier), scores[model, identifier], scores_file) for model in MODELS
        )
        reference = responses["base"][identifier]["reference"]
        texts = (record["category"], record["instruction"], record["input"], reference)
        rows.append(Row(identifier, number, *texts, base, finetuned))
    return rows


def _by_id(rows: list[dict[str, Any]], path: Path) -> dict[str, dict[str, Any]]:
    found = {row["id"]: row for row in rows}
    if len(found) < len(rows):
        raise UserError(f"{path} has a row twice: {REMEDY}")
    return found


def _answer(response: dict[str, Any] | None, score: dict[str, Any], scores_file: Path) -> Answer:
    if response is None:
        raise UserError(f"model {score['model']} has no answer to row {score['id']}: run `dvc repro`")
    statistics = {name: score[name] for name in OWN_STATISTICS}
    points = score["score"]
    if score["status"] not in STATUS_WORDS or not (points is None or 0 <= points <= 100):
        raise UserError(f"{scores_file}: row {score['id']} has no score from 0 to 100 with a known status: {REMEDY}")
    if any(value is not None and not math.isfinite(value) for value in statistics.values()):
        raise UserError(f"{scores_file}: row {score['id']} has a statistic that is no finite number: {REMEDY}")
    if response["finish_reason"] not in ("eos", *FINISH_WORDS) or response["response_tokens"] < 0:
        raise UserError(f"the answer of model {score['model']} to row {score['id']} has no known end: {REMEDY}")
    return Answer(
        response=response["response"],
        response_tokens=response["response_tokens"],
        finish_reason=response["finish_reason"],
        status=score["status"],
        score=points,
        statistics=statistics,
    )


def _read_loss(path: Path) -> list[dict[str, str]]:
    """Read the log of a training: a line per step, with a loss that may be blank."""
    try:
        rows = list(csv.DictReader(io.StringIO(read_text(path, REMEDY), newline="")))
    except csv.Error as error:
        raise UserError(f"{path} is not readable CSV ({error}): {REMEDY}") from error
    for number, row in enumerate(rows, start=1):
        for column in LOSS_COLUMNS:
            if not _is_number(row.get(column), column):
                raise UserError(f"{path}: row {number} has no usable `{column}`: {REMEDY}")
    if not rows:
        raise UserError(f"{path} has no rows: {REMEDY}")
    return rows


def _is_number(text: str | None, column: str) -> bool:
    if not text:
        return text == "" and column.endswith("_loss")
    try:
        return math.isfinite(float(text)) and (column != "step" or (text.isdecimal() and len(text) < 16))
    except ValueError:
        return False
