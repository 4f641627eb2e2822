"""Scores for answers: what needs no judge is scored at once, the rest by the offline composite or by a judge."""

import json
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from reprotune.judging.answers import Answer
from reprotune.judging.prompts import Question, question
from reprotune.judging.scorers import Statistics, measure, offline_composite
from reprotune.judging.verdicts import Judgement
from reprotune.params.judge import JudgeParams

JudgeAll = Callable[[Sequence[Question]], list[Judgement]]
"""Returns one judgement per question, in order."""


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


def score_answers(answers: Sequence[Answer], rubric: str, judge_all: JudgeAll | None) -> list[ScoredAnswer]:
    """Score every answer, in order.

    Empty answers get 0 (status `empty`) and exact matches 100 (`exact`), without a call. The others get the
    offline composite when `judge_all` is null, else the judge's score, or null where it gave none: a missing
    score is never replaced by a number.
    """
    scored: list[ScoredAnswer] = []
    open_places: list[int] = []
    for place, answer in enumerate(answers):
        statistics = measure(answer.item.reference, answer.item.response)
        if not answer.item.response.strip():
            scored.append(ScoredAnswer(answer, statistics, "empty", 0.0))
        elif statistics.exact_match:
            scored.append(ScoredAnswer(answer, statistics, "exact", 100.0))
        else:
            scored.append(ScoredAnswer(answer, statistics, "ok", offline_composite(statistics, answer.item.response)))
            open_places.append(place)
    if judge_all is None or not open_places:
        return scored
    judgements = judge_all([question(rubric, answers[place].item) for place in open_places])
    for place, judgement in zip(open_places, judgements, strict=True):
        verdict = judgement.verdict
        scored[place] = scored[place]._replace(status=verdict.status, score=verdict.score, judgement=judgement)
    return scored


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


def verdict_lines(scored: Sequence[ScoredAnswer], judge: dict[str, Any] | None) -> str:
    """Return JSON lines with every raw reply of the judge, one line per answer that was asked about.

    `judge` (backend, model, digest, options) stands in every line, so that a line speaks for itself.
    """
    lines = []
    for row in scored:
        if row.judgement is None:
            continue
        value = {
            "id": row.answer.id,
            "model": row.answer.model,
            "status": row.status,
            "score": row.score,
            "reasoning": row.judgement.verdict.reasoning,
            "replies": row.judgement.replies,
            "error": row.judgement.error,
            "key": row.judgement.key,
            "judge": judge,
        }
        lines.append(json.dumps(value, sort_keys=True) + "\n")
    return "".join(lines)
