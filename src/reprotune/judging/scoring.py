"""Scores for answers: what needs no judge is scored at once, the rest by the offline composite or by a judge.

A judged run puts all its questions in one batch (answers, canaries, pairs): the service sees one context size and one
queue. So scoring has two halves: first every answer is scored by statistics, then `with_judgements` takes what the
judge said about the answers that `needs_judge` names, in the same order.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from reprotune.judging.answers import Answer
from reprotune.judging.offline import Statistics, measure, normalised, offline_composite
from reprotune.judging.questions.prompts import Question, question
from reprotune.judging.service.collect import Judgement
from reprotune.params.sections.judge import JudgeParams


class ScoredAnswer(NamedTuple):
    """An answer with its score, or with the status that says why it has none."""

    answer: Answer
    statistics: Statistics
    status: str
    score: float | None
    judgement: Judgement | None = None
    """Null where no judge was asked."""


def method_name(params: JudgeParams) -> str:
    """Return what the scores may be called: never a judge's where none was asked."""
    if params.backend == "offline":
        return "offline_composite"
    return f"{params.backend}:{params.model}:{params.rubric}"


def score_offline(answers: Sequence[Answer]) -> list[ScoredAnswer]:
    """Score every answer by statistics, in order: empty ones 0 (`empty`), exact matches 100 (`exact`), others `ok`."""
    scored = []
    for answer in answers:
        statistics = measure(answer.item.reference, answer.item.response)
        score = offline_composite(statistics, answer.item.response)
        scored.append(ScoredAnswer(answer, statistics, answer_status(answer), score))
    return scored


def answer_status(answer: Answer) -> str:
    """Say what an answer is before anybody scores it: `empty`, `exact` (as the reference) or `ok`."""
    if not answer.item.response.strip():
        return "empty"
    return "exact" if normalised(answer.item.reference) == normalised(answer.item.response) else "ok"


def needs_judge(row: ScoredAnswer) -> bool:
    """Say whether a judge has to see an answer: not an empty one, nor an exact match."""
    return row.status == "ok"


def answer_questions(scored: Sequence[ScoredAnswer], rubric: str) -> list[Question]:
    """Return the questions about the answers that a judge has to see."""
    return [question(rubric, row.answer.item) for row in scored if needs_judge(row)]


def first_questions(answers: Sequence[Answer], rubric: str) -> list[Question]:
    """Return the same questions before the answers are scored."""
    return [question(rubric, answer.item) for answer in answers if answer_status(answer) == "ok"]


def with_judgements(scored: Sequence[ScoredAnswer], judgements: Iterator[Judgement]) -> list[ScoredAnswer]:
    """Put the judge's scores in the place of the composite, taking one judgement per question from the iterator.

    A score that the judge did not give is null: it is never replaced by a number.
    """
    result = []
    for row in scored:
        if needs_judge(row):
            judgement = next(judgements)
            verdict = judgement.verdict
            row = row._replace(status=verdict.status, score=verdict.score, judgement=judgement)  # noqa: PLW2901 - a value
        result.append(row)
    return result


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
