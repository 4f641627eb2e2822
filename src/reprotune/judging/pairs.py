"""Which of two models answers better, row by row.

A judge sees every pair in both orders. Judges favour a position (MT-bench reports that weak ones follow it in most
pairs), so a preference counts only when both orders agree; otherwise the pair is a tie. Identical answers are a tie
without a call. Without a judge the offline composite decides.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from reprotune.artifacts import MODELS
from reprotune.judging.answers import Answer, ScoredAnswer
from reprotune.judging.questions.prompts import Pair, Question, pair_question
from reprotune.judging.service.collect import Judgement
from reprotune.statistics.paired import paired_test
from reprotune.statistics.win_rate import (
    NO_LENGTH_ADJUSTMENT,
    length_adjusted,
    outcome_of_scores,
    outcome_of_verdicts,
    position_bias,
    win_rate,
)

SEED = 123
"""Of the permutation test, so that a second run gives the same numbers."""


class AnswerPair(NamedTuple):
    """Two models' answers to one record, and which of them is better."""

    baseline: Answer
    candidate: Answer
    status: str
    """`ok`, `identical`, or why the judge gave no verdict."""
    outcome: float | None
    """1: the candidate is better, 0: the baseline, 0.5: neither; null without a verdict on both orders."""
    judgements: tuple[Judgement, ...] = ()
    """With the baseline first, and with the candidate first; their scores are the points of the answer shown first."""

    @property
    def length_difference(self) -> int:
        """How many characters longer the candidate's answer is than the baseline's."""
        return len(self.candidate.item.response.strip()) - len(self.baseline.item.response.strip())


def pair_up(answers: Sequence[Answer], models: tuple[str, str] = MODELS) -> list[AnswerPair]:
    """Join the answers of two models (baseline, candidate) by row, in the order of the ids; identical ones tie."""
    baseline, candidate = models
    candidates = {answer.id: answer for answer in answers if answer.model == candidate}
    pairs = []
    for answer in answers:
        if answer.model == baseline:
            other = candidates[answer.id]
            same = answer.item.response.strip() == other.item.response.strip()
            status, outcome = ("identical", 0.5) if same else ("ok", None)
            pairs.append(AnswerPair(answer, other, status, outcome))
    return pairs


def pair_questions(pairs: Sequence[AnswerPair]) -> list[Question]:
    """Return two questions for each open pair: baseline first, then candidate first."""
    questions = []
    for row in pairs:
        if row.outcome is None:
            item = row.baseline.item
            for first, second in ((item, row.candidate.item), (row.candidate.item, item)):
                pair = Pair(item.instruction, item.input, item.reference, first.response, second.response)
                questions.append(pair_question(pair))
    return questions


def with_verdicts(pairs: Sequence[AnswerPair], judgements: Iterator[Judgement]) -> list[AnswerPair]:
    """Settle the open pairs, taking two judgements for each from the iterator, in the order of `pair_questions`."""
    return [_settled(row, (next(judgements), next(judgements))) if row.outcome is None else row for row in pairs]


def _settled(row: AnswerPair, judgements: tuple[Judgement, Judgement]) -> AnswerPair:
    baseline_first, candidate_first = (judgement.verdict.score for judgement in judgements)
    if baseline_first is None or candidate_first is None:
        failed = next(judgement for judgement in judgements if judgement.verdict.score is None)
        return row._replace(status=failed.verdict.status, judgements=judgements)
    return row._replace(outcome=outcome_of_verdicts(baseline_first, candidate_first), judgements=judgements)


def with_scores(pairs: Sequence[AnswerPair], scored: Sequence[ScoredAnswer]) -> list[AnswerPair]:
    """Settle the open pairs in favour of the answer with the higher score."""
    scores = {(row.answer.model, row.answer.id): row.score for row in scored}

    def outcome(row: AnswerPair) -> float | None:
        before = scores[row.baseline.model, row.baseline.id]
        after = scores[row.candidate.model, row.candidate.id]
        return None if before is None or after is None else outcome_of_scores(before, after)

    return [row._replace(outcome=outcome(row)) if row.outcome is None else row for row in pairs]


def summarise_pairs(pairs: Sequence[AnswerPair]) -> dict[str, Any]:
    """Return win rates and the judge's position bias, ready for JSON; pairs without a verdict are only counted.

    Only a judge's verdicts are adjusted for length, because the prior of the adjustment describes judges.
    """
    settled = [row for row in pairs if row.outcome is not None]
    outcomes = [row.outcome for row in settled if row.outcome is not None]
    categories = [row.baseline.category for row in settled]
    judged = [[judgement.verdict.score or 0.0 for judgement in row.judgements] for row in settled if row.judgements]
    lengths = [row.length_difference for row in settled]
    adjusted = length_adjusted(outcomes, lengths) if judged else NO_LENGTH_ADJUSTMENT
    test = paired_test([(0.5, outcome) for outcome in outcomes], SEED, 0.5, categories)
    rates = win_rate(outcomes, lengths)
    if test.ci95_low is not None and test.ci95_high is not None:  # the interval that the verdict goes by
        rates = rates._replace(ci95_low=0.5 + test.ci95_low, ci95_high=0.5 + test.ci95_high)
    return {
        **rates._asdict(),
        **adjusted._asdict(),
        **position_bias(judged)._asdict(),
        "verdict": test.verdict,
        "unscored": len(pairs) - len(settled),
        "coverage": len(settled) / len(pairs) if pairs else 0.0,
        "identical": sum(row.status == "identical" for row in pairs),
    }
