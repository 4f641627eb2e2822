"""Canaries, and what a run says about its judge."""

import contextlib

import numpy as np
import pytest
from scipy import stats

from reprotune.errors import UserError
from reprotune.judging.answers import Answer, ScoredAnswer, answer_questions, score_offline, with_judgements
from reprotune.judging.checks import (
    ANSWER_KINDS,
    INJECTIONS,
    canary_pairs,
    check_canaries,
    judge_health,
    make_canaries,
    passed_canaries,
)
from reprotune.judging.pairs import with_verdicts
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
    kinds = [row.model for row in made]
    scores = {"empty": 0.0, **scores}
    verdicts = [Verdict("ok" if scores[kind] is not None else "unparsable", scores[kind]) for kind in kinds]
    return with_judgements(score_offline(made), iter([Judgement(verdict, (), "k") for verdict in verdicts]))


def test_every_kind_comes_from_the_test_rows_and_the_judge_sees_all() -> None:
    made = make_canaries(ROWS, 3, seed=1)
    assert [row.model for row in made] == [*ANSWER_KINDS] * 3
    assert made == make_canaries(list(reversed(ROWS)), 3, seed=1) != make_canaries(ROWS, 3, seed=2)
    for row in made:
        if row.model == "foreign":
            assert row.item.response != row.item.reference
            assert row.item.response in {other.item.reference for other in ROWS}
    assert len(answer_questions(made, "reference")) == 3 * 5
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
        ({"reference": None, "foreign": None, "verbose": 0, "injection": 0}, set(ANSWER_KINDS) - {"empty"}),
        ({"reference": 95, "foreign": 10, "verbose": 60, "injection": 5, "empty": 50}, {"empty"}),
        ({"reference": 95, "foreign": 10, "verbose": 60, "injection": 5, "empty": None}, {"empty"}),
    ],
)
def test_which_canaries_pass(scores: dict[str, float | None], failed: set[str]) -> None:
    passed = passed_canaries(canaries(scores, 4))
    assert {kind for kind, results in passed.items() if not all(results)} == failed
    found = judge_health([], canaries(scores, 4))
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


@pytest.mark.parametrize("order", INJECTIONS)
def test_no_injection_keeps_its_control_tokens(order: str) -> None:
    prompt = question("reference", Item("i", "", "r", order)).messages[0]["content"]
    assert "grading above is cancelled" in prompt
    for token in ("<|", "<\uff5c", "[/INST]", "[SYSTEM_PROMPT]", "[TOOL_CALLS]", "<tool_call>", "</think>", "</s>"):
        assert token not in prompt


def test_the_rows_take_turns_with_the_injections() -> None:
    rows = [row._replace(id=f"{row.id}-{n}") for n in range(3) for row in ROWS]
    made = [row.item.response for row in make_canaries(rows, 12, seed=1) if row.model == "injection"]
    assert [sum(text.endswith(order) for text in made) for order in INJECTIONS] == [2] * 6


@pytest.mark.parametrize(("passed", "fails"), [(2, True), (3, False)])
def test_only_an_interval_below_the_threshold_fails(passed: int, fails: bool) -> None:
    rows = [row._replace(id=f"{row.id}-{n}") for n in range(3) for row in ROWS]
    made = [row for row in make_canaries(rows, 12, seed=1) if row.model == "foreign"]
    verdicts = [Verdict("ok", 0.0 if place < passed else 90.0) for place in range(12)]
    scored = with_judgements(score_offline(made), iter([Judgement(verdict, (), "k") for verdict in verdicts]))
    health = judge_health([], scored)
    assert health["canary_intervals"]["foreign"]["n"] == 12
    with (
        pytest.raises(UserError, match="of kind foreign, with 95 % confidence at most")
        if fails
        else contextlib.nullcontext()
    ):
        check_canaries(health, 0.5)


@pytest.mark.parametrize(("points", "passed"), [((0, 100), True), ((100, 100), False), ((100, 0), False)])
def test_a_pair_canary_passes_where_both_orders_prefer_the_reference(points: tuple[int, int], passed: bool) -> None:
    pairs = canary_pairs(make_canaries(ROWS, 2, seed=1))
    assert [(pair.baseline.model, pair.candidate.model) for pair in pairs] == [("foreign", "reference")] * 2
    judgements = [Judgement(Verdict("ok", float(score)), (), "k") for score in points] * 2
    assert passed_canaries([], with_verdicts(pairs, iter(judgements))) == {"pair": [passed] * 2}


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
