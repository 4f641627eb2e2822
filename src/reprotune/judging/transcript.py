"""The judge's words: every raw reply as JSON lines, so that a score can be traced to what was said."""

import json
from collections.abc import Sequence
from typing import Any

from reprotune.judging.pairs import Comparison
from reprotune.judging.scoring import ScoredAnswer
from reprotune.judging.service.collect import Judgement


def answer_lines(rows: Sequence[ScoredAnswer], judge: dict[str, Any], purpose: str) -> list[str]:
    """Return one line per answer that the judge was asked about; `purpose` is `score` or `canary`."""
    return [
        _line({"purpose": purpose, "id": row.answer.id, "model": row.answer.model}, row.judgement, judge)
        for row in rows
        if row.judgement is not None
    ]


def comparison_lines(comparisons: Sequence[Comparison], judge: dict[str, Any]) -> list[str]:
    """Return two lines per pair that the judge was asked about, one for each order."""
    return [
        _line({"purpose": "pairwise", "id": row.baseline.id, "model": shown_first}, judgement, judge)
        for row in comparisons
        for shown_first, judgement in zip((row.baseline.model, row.candidate.model), row.judgements, strict=False)
    ]


def _line(subject: dict[str, Any], judgement: Judgement, judge: dict[str, Any]) -> str:
    """Return a line that speaks for itself: `judge` holds backend, model, digest and options."""
    value = {
        **subject,
        "status": judgement.verdict.status,
        "score": judgement.verdict.score,
        "scores": judgement.scores,
        "probability_masses": judgement.masses,
        "reasoning": judgement.verdict.reasoning,
        "replies": judgement.replies,
        "error": judgement.error,
        "key": judgement.key,
        "judge": judge,
    }
    return json.dumps(value, sort_keys=True) + "\n"
