"""Answers and their scores: responses joined with the records they answer, scored by statistics or by a judge.

A judged run asks everything in one batch (about answers, canaries and pairs), so that the service sees one context
size and one queue. Scoring therefore has two halves: `score_offline` gives every answer a score from statistics, and
`with_judgements` replaces it where a judge was asked, taking the judgements in the order of `answer_questions`.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from reprotune.artifacts import RESPONSES, read_table
from reprotune.errors import UserError
from reprotune.judging.offline import Statistics, measure, normalised, offline_composite
from reprotune.judging.questions.prompts import Item, Question, question
from reprotune.judging.service.collect import Judgement
from reprotune.records import read_records


class Answer(NamedTuple):
    """One model's answer to one record."""

    model: str
    id: str
    category: str | None
    item: Item
    canary: bool = False
    """Whether the answer is there to test the judge, which then has to see it even if it is an exact match or empty."""

    @property
    def status(self) -> str:
        """What the answer is before anyone scores it: `empty`, `exact` (equal to the reference) or `ok`."""
        if self.canary:
            return "ok"
        if not self.item.response.strip():
            return "empty"
        return "exact" if normalised(self.item.reference) == normalised(self.item.response) else "ok"

    @property
    def needs_judge(self) -> bool:
        """Whether only a judge can tell what the answer is worth."""
        return self.status == "ok"


class ScoredAnswer(NamedTuple):
    """An answer with its score, or with the status that says why it has none."""

    answer: Answer
    statistics: Statistics
    status: str
    score: float | None
    judgement: Judgement | None = None
    """Null where no judge was asked."""


def read_answers(records_path: Path, responses_paths: dict[str, Path]) -> list[Answer]:
    """Read the answers of every model, sorted by model and id.

    Raises `UserError` unless each model answered exactly the records, and each response has its record's reference.
    """
    records = {record["id"]: record for record in read_records(records_path)}
    if not records:
        raise UserError(f"{records_path} has no rows, so there is nothing to judge: raise split.test in params.yaml")
    answers = []
    for model, path in responses_paths.items():
        responses = {response["id"]: response for response in read_table(path, RESPONSES).to_pylist()}
        for identifier in sorted(records.keys() ^ responses.keys()):
            without, has = (path, records_path) if identifier in records else (records_path, path)
            raise UserError(f"{without} has no row {identifier}, but {has} does: run `dvc repro` to rebuild both")
        for identifier, response in responses.items():
            record = records[identifier]
            if response["reference"] != record["output"]:
                raise UserError(
                    f"{path}: the reference of row {identifier} differs from the output in {records_path}: run "
                    "`dvc repro` to rebuild both"
                )
            item = Item(record["instruction"], record["input"], record["output"], response["response"])
            answers.append(Answer(model, identifier, record["category"], item))
    return sorted(answers, key=lambda answer: (answer.model, answer.id))


def score_offline(answers: Sequence[Answer]) -> list[ScoredAnswer]:
    """Score every answer by statistics, in order: empty ones get 0, exact matches 100, others the composite."""
    scored = []
    for answer in answers:
        statistics = measure(answer.item.reference, answer.item.response)
        score = offline_composite(statistics, answer.item.response)
        scored.append(ScoredAnswer(answer, statistics, answer.status, score))
    return scored


def answer_questions(answers: Sequence[Answer], rubric: str) -> list[Question]:
    """Return the questions about the answers that need a judge, in order."""
    return [question(rubric, answer.item) for answer in answers if answer.needs_judge]


def with_judgements(scored: Sequence[ScoredAnswer], judgements: Iterator[Judgement]) -> list[ScoredAnswer]:
    """Replace the composite by the judge's score where a judge was needed, taking one judgement from the iterator each.

    A score that the judge did not give is null: it is never replaced by a number.
    """
    return [_judged(row, next(judgements)) if row.answer.needs_judge else row for row in scored]


def _judged(row: ScoredAnswer, judgement: Judgement) -> ScoredAnswer:
    return row._replace(status=judgement.verdict.status, score=judgement.verdict.score, judgement=judgement)


def score_row(scored: ScoredAnswer, method: str) -> dict[str, Any]:
    """Return the row of the scores table; `raw` is the judge's last reply."""
    replies = scored.judgement.replies if scored.judgement else ()
    return {
        "id": scored.answer.id,
        "model": scored.answer.model,
        "status": scored.status,
        "score": scored.score,
        "method": method,
        "raw": replies[-1] if replies else None,
        **scored.statistics._asdict(),
    }
