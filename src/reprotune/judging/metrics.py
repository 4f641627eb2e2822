"""The metrics of a judged test set: means with intervals, the paired difference, coverage, categories."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from reprotune.errors import UserError
from reprotune.judging.scoring import ScoredAnswer
from reprotune.statistics.intervals import mean_interval, sign_flip_p, smallest_detectable_difference

STATISTICS = ("exact_match", "chrf", "rouge_l", "token_f1", "repetition", "length_ratio")
NO_CATEGORY = "(none)"


def summarise(scored: Sequence[ScoredAnswer], method: str, seed: int) -> dict[str, Any]:
    """Return the metrics of the models `base` and `finetuned`, ready for JSON."""
    base = [row for row in scored if row.answer.model == "base"]
    finetuned = [row for row in scored if row.answer.model == "finetuned"]
    return {
        "method": method,
        "base": _model_metrics(base),
        "finetuned": _model_metrics(finetuned),
        "difference": _difference(base, finetuned, seed),
        "categories": _categories(base, finetuned),
    }


def check_coverage(metrics: dict[str, Any], min_coverage: float) -> None:
    """Raise `UserError` when a model's share of scored answers is below `min_coverage`, or none was scored."""
    for model in ("base", "finetuned"):
        found = metrics[model]
        if found["n"] and found["coverage"] >= min_coverage:
            continue
        faults = ", ".join(f"{count} {status}" for status, count in found["status"].items())
        raise UserError(
            f"only {found['coverage']:.1%} of the answers of model {model} got a score ({faults}), but "
            f"judge.min_coverage asks for {min_coverage:.1%}; every reply is kept in .reprotune/judge/replies.jsonl: "
            "answers with status error are asked again by `dvc repro`; for unparsable, truncated or refused ones "
            "change judge.max_tokens, judge.rubric or judge.model in params.yaml, or lower judge.min_coverage"
        )
    pairs = metrics["pairwise"]
    if pairs is not None and pairs["coverage"] < min_coverage:
        raise UserError(
            f"the judge gave a verdict on only {pairs['coverage']:.1%} of the pairs, but judge.min_coverage asks for "
            f"{min_coverage:.1%}; every reply is kept: run `dvc repro` again where the service failed, choose another "
            "judge.model, or set judge.pairwise: false in params.yaml"
        )


def _model_metrics(rows: Sequence[ScoredAnswer]) -> dict[str, Any]:
    """Return one model's metrics; `score` is the mean over the `n` scored answers.

    `score_low` and `score_high` bound what the mean over all answers could be: every unscored one at 0, or at 100.
    """
    scores = _scores(rows)
    unscored = len(rows) - len(scores)
    metrics: dict[str, Any] = mean_interval(scores)._asdict()
    metrics["coverage"] = len(scores) / len(rows)
    metrics["unscored"] = unscored
    metrics["score_low"] = sum(scores) / len(rows)
    metrics["score_high"] = (sum(scores) + 100 * unscored) / len(rows)
    metrics["status"] = dict(sorted(Counter(row.status for row in rows).items()))
    for name in STATISTICS:
        metrics[name] = float(np.mean([getattr(row.statistics, name) for row in rows]))
    return metrics


def _difference(base: Sequence[ScoredAnswer], finetuned: Sequence[ScoredAnswer], seed: int) -> dict[str, Any]:
    """Return fine-tuned minus base over the rows that are scored for both."""
    before = {row.answer.id: row.score for row in base}
    differences = [
        row.score - other for row in finetuned if row.score is not None and (other := before[row.answer.id]) is not None
    ]
    return {
        **mean_interval(differences)._asdict(),
        "p_value": sign_flip_p(differences, seed),
        "smallest_detectable": smallest_detectable_difference(differences),
    }


def _categories(base: Sequence[ScoredAnswer], finetuned: Sequence[ScoredAnswer]) -> dict[str, Any]:
    """Return mean score and exact matches per category; empty where no record has one."""
    names = {row.answer.category for row in base}
    if names == {None}:
        return {}
    table = {}
    for name in names:
        before = [row for row in base if row.answer.category == name]
        after = [row for row in finetuned if row.answer.category == name]
        table[NO_CATEGORY if name is None else name] = {
            "n": len(before),
            "base": mean_interval(_scores(before)).score,
            "finetuned": mean_interval(_scores(after)).score,
            "base_exact": _exact(before),
            "finetuned_exact": _exact(after),
        }
    return table


def _scores(rows: Sequence[ScoredAnswer]) -> list[float]:
    return [row.score for row in rows if row.score is not None]


def _exact(rows: Sequence[ScoredAnswer]) -> float:
    return float(np.mean([row.statistics.exact_match for row in rows]))
