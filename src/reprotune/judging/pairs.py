"""Which of two models answers better, row by row.

A judge sees every pair in both orders. Judges favour a place (MT-bench reports that weak ones follow it in most
pairs), so a preference counts only when both orders agree; otherwise the pair is a tie. Identical answers are a draw
without a call. Without a judge the offline composite decides.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from reprotune.judging.answers import Answer
from reprotune.judging.questions.prompts import Pair, Question, pair_question
from reprotune.judging.scoring import ScoredAnswer
from reprotune.judging.service.collect import Judgement
from reprotune.statistics.intervals import wilson_interval

RIDGE = 0.1
"""Penalty on the squared coefficients, which keeps them finite where one model wins every row."""


class Comparison(NamedTuple):
    """One row's two answers and what came of them."""

    baseline: Answer
    candidate: Answer
    status: str
    """`ok`, `identical`, or why the judge gave no verdict."""
    outcome: float | None
    """1: the candidate is better, 0: the baseline, 0.5: neither; null without a verdict on both orders."""
    judgements: tuple[Judgement, ...] = ()
    """The verdicts on baseline first and on candidate first; their scores are the points of the one shown first."""

    @property
    def length_difference(self) -> int:
        """Characters that the candidate's answer has more than the baseline's."""
        return len(self.candidate.item.response.strip()) - len(self.baseline.item.response.strip())


def pair_up(answers: Sequence[Answer], baseline: str = "base", candidate: str = "finetuned") -> list[Comparison]:
    """Join the answers of two models by row, in the order of the ids; identical ones are settled already."""
    candidates = {answer.id: answer for answer in answers if answer.model == candidate}
    comparisons = []
    for answer in answers:
        if answer.model == baseline:
            other = candidates[answer.id]
            same = answer.item.response.strip() == other.item.response.strip()
            status, outcome = ("identical", 0.5) if same else ("ok", None)
            comparisons.append(Comparison(answer, other, status, outcome))
    return comparisons


def pair_questions(comparisons: Sequence[Comparison]) -> list[Question]:
    """Return two questions for each pair that is open: baseline first, then candidate first."""
    questions = []
    for row in comparisons:
        if row.outcome is None:
            item = row.baseline.item
            for first, second in ((item, row.candidate.item), (row.candidate.item, item)):
                pair = Pair(item.instruction, item.input, item.reference, first.response, second.response)
                questions.append(pair_question(pair))
    return questions


def with_verdicts(comparisons: Sequence[Comparison], judgements: Iterator[Judgement]) -> list[Comparison]:
    """Settle the open pairs, taking two judgements for each from the iterator, in the order of `pair_questions`."""
    return [_settled(row, (next(judgements), next(judgements))) if row.outcome is None else row for row in comparisons]


def with_scores(comparisons: Sequence[Comparison], scored: Sequence[ScoredAnswer]) -> list[Comparison]:
    """Settle the open pairs by which answer has the higher score."""
    scores = {(row.answer.model, row.answer.id): row.score for row in scored}

    def outcome(row: Comparison) -> float | None:
        before = scores[row.baseline.model, row.baseline.id]
        after = scores[row.candidate.model, row.candidate.id]
        return None if before is None or after is None else 0.5 + 0.5 * float(np.sign(after - before))

    return [row._replace(outcome=outcome(row)) if row.outcome is None else row for row in comparisons]


def _settled(row: Comparison, judgements: tuple[Judgement, Judgement]) -> Comparison:
    baseline_first, candidate_first = (judgement.verdict.score for judgement in judgements)
    if baseline_first is None or candidate_first is None:
        failed = next(judgement for judgement in judgements if judgement.verdict.score is None)
        return row._replace(status=failed.verdict.status, judgements=judgements)
    wins = (baseline_first < 50) + (candidate_first > 50)
    losses = (baseline_first > 50) + (candidate_first < 50)
    outcome = 1.0 if wins == 2 else 0.0 if losses == 2 else 0.5
    return row._replace(outcome=outcome, judgements=judgements)


def summarise_pairs(comparisons: Sequence[Comparison]) -> dict[str, Any]:
    """Return win rates and the judge's position bias, ready for JSON.

    A tie is half a win. The interval is Wilson's, which ties make wider than need be. `position_bias` is the share of
    the judged pairs whose two verdicts name the same place, `first_share` what the answers shown first earned (0.5:
    no favour).
    """
    settled = [row for row in comparisons if row.outcome is not None]
    outcomes = [row.outcome for row in settled if row.outcome is not None]
    low, high = wilson_interval(sum(outcomes), len(outcomes)) or (None, None)
    lengths = [row.length_difference for row in settled]
    judged = [[judgement.verdict.score or 0.0 for judgement in row.judgements] for row in settled if row.judgements]
    one_place = [min(pair) > 50 or max(pair) < 50 for pair in judged]
    return {
        "win_rate": sum(outcomes) / len(outcomes) if outcomes else None,
        "ci95_low": low,
        "ci95_high": high,
        "length_controlled_win_rate": length_controlled_win_rate(outcomes, lengths),
        "n": len(outcomes),
        "unscored": len(comparisons) - len(settled),
        "coverage": len(settled) / len(comparisons) if comparisons else 0.0,
        "wins": outcomes.count(1.0),
        "losses": outcomes.count(0.0),
        "ties": outcomes.count(0.5),
        "identical": sum(row.status == "identical" for row in comparisons),
        "mean_length_difference": float(np.mean(lengths)) if lengths else None,
        "position_bias": float(np.mean(one_place)) if judged else None,
        "first_share": float(np.mean(judged)) / 100 if judged else None,
    }


def pair_lines(found: dict[str, Any]) -> list[str]:
    """Return the summary in words, for a terminal."""
    if found["win_rate"] is None:
        return [f"no verdict on any of the {found['unscored']} pairs"]
    lines = [
        f"candidate wins {found['win_rate']:.1%} of {found['n']} pairs "
        f"(95 % interval {found['ci95_low']:.1%} to {found['ci95_high']:.1%})",
        f"  {found['wins']} won, {found['losses']} lost, {found['ties']} tied ({found['identical']} identical)",
        f"  at equal length: {found['length_controlled_win_rate']:.1%}",
    ]
    if found["unscored"]:
        lines.append(f"  {found['unscored']} pairs without a verdict are left out")
    if found["position_bias"] is not None:
        lines.append(f"  in {found['position_bias']:.1%} of the judged pairs the verdict followed the place")
    return lines


def length_controlled_win_rate(outcomes: Sequence[float], length_differences: Sequence[float]) -> float | None:
    """Return the win rate to be expected between answers of equal length; null for no pairs.

    The logistic model logit p = theta + phi * tanh(dlen / sd(dlen)), fitted by Newton's method and read at dlen = 0
    (after AlpacaEval's length-controlled win rate; Dubois et al. 2024).
    """
    if not outcomes:
        return None
    won, lengths = np.asarray(outcomes, dtype=float), np.asarray(length_differences, dtype=float)
    spread = float(lengths.std())
    features = np.column_stack([np.ones_like(won), np.tanh(lengths / spread) if spread else np.zeros_like(won)])
    coefficients = np.zeros(2)
    for _ in range(100):
        rate = 1 / (1 + np.exp(-features @ coefficients))
        gradient = features.T @ (won - rate) - RIDGE * coefficients
        curvature = (features * (rate * (1 - rate))[:, None]).T @ features + RIDGE * np.eye(2)
        step = np.linalg.solve(curvature, gradient)
        coefficients += step / max(1.0, float(np.abs(step).max()))  # a longer step may overshoot
        if np.abs(step).max() < 1e-10:
            break
    return float(1 / (1 + np.exp(-coefficients[0])))
