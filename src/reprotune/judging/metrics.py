"""The metrics of a judged test set: means with intervals, the paired difference, coverage, categories."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from reprotune.artifacts import MODELS, NO_CATEGORY, STATISTICS
from reprotune.errors import UserError
from reprotune.judging.answers import ScoredAnswer
from reprotune.statistics.intervals import mean, mean_interval
from reprotune.statistics.paired import SMALLEST_TESTED, paired_test

SCORE_RANGE = (0.0, 100.0)
"""Smallest and largest score of an answer."""


def summarise(scored: Sequence[ScoredAnswer], method: str, seed: int) -> dict[str, Any]:
    """Return the metrics of the models `base` and `finetuned`, ready for JSON."""
    base, finetuned = ([row for row in scored if row.answer.model == model] for model in MODELS)
    return {
        "method": method,
        "base": _model_metrics(base),
        "finetuned": _model_metrics(finetuned),
        "difference": _difference(base, finetuned, seed),
        "categories": _categories(base, finetuned, seed),
    }


def check_coverage(metrics: dict[str, Any], min_coverage: float) -> None:
    """Raise `UserError` if a model's share of scored answers is below `min_coverage`, or if none was scored."""
    for model in MODELS:
        found = metrics[model]
        if found["n"] and found["coverage"] >= min_coverage:
            continue
        statuses = ", ".join(f"{count} {status}" for status, count in found["status"].items())
        fault = (
            f"only {found['coverage']:.1%} of the answers of model {model} got a score ({statuses}), but "
            f"judge.min_coverage requires {min_coverage:.1%}"
            if found["n"]
            else f"no answer of model {model} got a score ({statuses}), so there is no result, whatever "
            "judge.min_coverage allows"
        )
        raise UserError(
            f"{fault}; every reply is kept in .reprotune/judge/replies.jsonl: "
            "run `dvc repro` to ask again about answers with status error; for unparsable, truncated or refused ones "
            "change judge.max_tokens, judge.rubric or judge.model in params.yaml, or lower judge.min_coverage"
        )
    pairs = metrics["pairwise"]
    if pairs is not None and pairs["coverage"] < min_coverage:
        raise UserError(
            f"the judge gave a verdict on only {pairs['coverage']:.1%} of the pairs, but judge.min_coverage requires "
            f"{min_coverage:.1%}; every reply is kept: run `dvc repro` again if the service failed, choose another "
            "judge.model, or set judge.pairwise: false in params.yaml"
        )


def _model_metrics(rows: Sequence[ScoredAnswer]) -> dict[str, Any]:
    """Return one model's metrics; `score` is the mean over the `n` scored answers.

    `score_low` and `score_high` are the limits of the mean over all answers: with every unscored one at 0, or at 100.
    """
    scores = _scores(rows)
    unscored = len(rows) - len(scores)
    return {
        **mean_interval(scores, SCORE_RANGE, [row.answer.category for row in rows if row.score is not None])._asdict(),
        "coverage": len(scores) / len(rows),
        "unscored": unscored,
        "score_low": sum(scores) / len(rows),
        "score_high": (sum(scores) + 100 * unscored) / len(rows),
        "status": dict(sorted(Counter(row.status for row in rows).items())),
        **{name: mean([getattr(row.statistics, name) for row in rows]) for name in STATISTICS},
    }


def _difference(base: Sequence[ScoredAnswer], finetuned: Sequence[ScoredAnswer], seed: int) -> dict[str, Any]:
    """Return fine-tuned minus base over the rows that are scored for both, and the verdict that every reader shows."""
    before = {row.answer.id: row.score for row in base}
    both = [
        (row.answer.category, other, row.score)
        for row in finetuned
        if row.score is not None and (other := before[row.answer.id]) is not None
    ]
    test = paired_test(
        [(old, new) for _, old, new in both], seed, SCORE_RANGE[1], [category for category, _, _ in both]
    )
    return {
        "score": test.difference,
        "stderr": test.stderr,
        "stderr_clustered": test.stderr_clustered,
        "ci95_low": test.ci95_low,
        "ci95_high": test.ci95_high,
        "n": test.n,
        "p_value": test.p_value,
        "smallest_detectable": test.smallest_detectable,
        "verdict": test.verdict,
    }


def _categories(base: Sequence[ScoredAnswer], finetuned: Sequence[ScoredAnswer], seed: int) -> dict[str, Any]:
    """Return scores, shares of exact matches and the verdict per category; empty where no record has one."""
    before_by, after_by = _by_category(base), _by_category(finetuned)
    if before_by.keys() == {None}:
        return {}
    table = {}
    for name, before in before_by.items():
        after = after_by.get(name, [])
        table[NO_CATEGORY if name is None else name] = {
            "n": len(before),
            **_category_scores("base", before),
            **_category_scores("finetuned", after),
            "verdict": _difference(before, after, seed)["verdict"],
        }
    return table


def _by_category(rows: Sequence[ScoredAnswer]) -> dict[str | None, list[ScoredAnswer]]:
    found: dict[str | None, list[ScoredAnswer]] = {}
    for row in rows:
        found.setdefault(row.answer.category, []).append(row)
    return found


def _category_scores(model: str, rows: Sequence[ScoredAnswer]) -> dict[str, float | None]:
    """Return one model's mean, its 95 % interval and share of exact matches; their names begin with the model's.

    The interval is null for fewer scored rows than a test needs, where it would reach over most of the scale.
    """
    estimate = mean_interval(_scores(rows), SCORE_RANGE)
    told = estimate.n >= SMALLEST_TESTED
    return {
        model: estimate.score,
        f"{model}_low": estimate.ci95_low if told else None,
        f"{model}_high": estimate.ci95_high if told else None,
        f"{model}_exact": mean([row.statistics.exact_match for row in rows]),
    }


def _scores(rows: Sequence[ScoredAnswer]) -> list[float]:
    return [row.score for row in rows if row.score is not None]
