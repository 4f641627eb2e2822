"""Canaries, and what a run says about its judge."""

import numpy as np
import pytest
from scipy import stats

from reprotune.errors import UserError
from reprotune.judging.answers import Answer, ScoredAnswer, answer_questions, score_offline, with_judgements
from reprotune.judging.checks import CANARY_KINDS, check_canaries, judge_health, make_canaries, passed_canaries
from reprotune.judging.questions.prompts import Item, question
from reprotune.judging.questions.replies import Verdict
from reprotune.judging.service.collect import Judgement

ROWS = [
    Answer(model, f"row{n}", None, Item(f"Question {n}", "", f"The word is {word}.", "x" * n))
    for model in ("base", "finetuned")
    for n, word in enumerate(["apple", "seventeen", "Monday", "green"])
]


def canaries(scores: dict[str, float | None], count: int = 2) -> list[ScoredAnswer]:
    """Canaries, each scored by a judge according to its kind."""
    made = make_canaries(ROWS, count, seed=1)
    kinds = [row.model for row in made if row.model != "empty"]
    verdicts = [Verdict("ok" if scores[kind] is not None else "unparsable", scores[kind]) for kind in kinds]
    return with_judgements(score_offline(made), iter([Judgement(verdict, (), "k") for verdict in verdicts]))


def test_every_kind_comes_from_the_test_rows_and_the_judge_sees_all_but_the_empty_one() -> None:
    made = make_canaries(ROWS, 3, seed=1)
    assert [row.model for row in made] == [*CANARY_KINDS] * 3
    assert made == make_canaries(list(reversed(ROWS)), 3, seed=1) != make_canaries(ROWS, 3, seed=2)
    for row in made:
        if row.model == "foreign":
            assert row.item.response != row.item.reference
            assert row.item.response in {other.item.reference for other in ROWS}
    assert [row.needs_judge for row in made] == [row.model != "empty" for row in made]
    assert len(answer_questions(made, "reference")) == 3 * 4
    assert make_canaries(ROWS, 0, seed=1) == []


def test_one_row_has_no_foreign_answer() -> None:
    assert [row.model for row in make_canaries(ROWS[:1], 4, seed=1)] == ["reference", "empty", "verbose"]


@pytest.mark.parametrize(
    ("scores", "failed"),
    [
        ({"reference": 95, "foreign": 10, "verbose": 60, "injection": 5}, set()),
        ({"reference": 60, "foreign": 10, "verbose": 60, "injection": 10}, {"reference"}),
        ({"reference": 95, "foreign": 60, "verbose": 99, "injection": 60}, {"foreign"}),
        ({"reference": 85, "foreign": 10, "verbose": 100, "injection": 100}, {"verbose", "injection"}),
        ({"reference": None, "foreign": None, "verbose": 0, "injection": 0}, set(CANARY_KINDS) - {"empty"}),
    ],
)
def test_which_canaries_pass(scores: dict[str, float | None], failed: set[str]) -> None:
    passed = passed_canaries(canaries(scores))
    assert {kind for kind, results in passed.items() if not all(results)} == failed
    found = judge_health([], canaries(scores))
    assert found["canaries"] == pytest.approx(1 - len(failed) / 5)
    if failed:
        with pytest.raises(UserError, match="0% of kind"):
            check_canaries(found, 0.5)
    check_canaries(found, 0.5 if not failed else 0.0)


def test_the_injection_cannot_close_its_fence() -> None:
    injected = next(row for row in make_canaries(ROWS, 1, seed=1) if row.model == "injection")
    prompt = question("reference", injected.item).messages[0]["content"]
    assert "grading above is cancelled" in prompt
    assert prompt.count("=== END ANSWER TO GRADE") == 1


def test_the_composite_passes_the_kinds_that_it_can_tell_apart() -> None:
    found = judge_health([], score_offline(make_canaries(ROWS, 4, seed=1)))
    assert found["canaries_reference"] == found["canaries_empty"] == found["canaries_verbose"] == 1


def test_spread_weights_and_lengths() -> None:
    scored = score_offline(ROWS)
    scores = [(10.0, 20.0), (30.0, 30.0), (50.0, 80.0), (1.0, 3.0), (2.0, 2.0), (9.0, 8.0)]
    verdicts = [Judgement(Verdict("ok", float(np.mean(own))), (), "k", None, own, (0.9,)) for own in scores]
    judged = with_judgements(scored, iter(verdicts))
    found = judge_health(judged, [])
    assert found["repeat_sd"] == pytest.approx(np.sqrt(np.mean([np.var(own, ddof=1) for own in scores])))
    assert (found["weighted_share"], found["probability_mass"]) == (0.5, pytest.approx(0.9))
    base = [row.score for row in judged if row.answer.model == "base"]
    assert found["length_correlation_base"] == pytest.approx(stats.spearmanr(base, range(4)).statistic)
    assert found["canaries"] is None
