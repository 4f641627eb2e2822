"""What a ballot shows: every pair once, in an order and on sides that tell nothing, with controls spread over it."""

from collections import Counter

import pytest

from reprotune.preference.ballot import APART, Plan, make_ballot
from reprotune.preference.contestants import Question

PLAN = Plan(seed=123, controls=0.05, pairs=None)


def questions(count: int, models: int = 2) -> list[Question]:
    return [
        Question(f"{number:016x}", f"Question {number}", f"Reference {number}", answers(number, models))
        for number in range(count)
    ]


def answers(number: int, models: int) -> dict[str, str]:
    return {f"model-{model}": f"answer {model} to {number}" for model in range(models)}


def test_the_same_questions_give_the_same_ballot_and_another_seed_another() -> None:
    assert make_ballot(questions(40), PLAN) == make_ballot(questions(40), PLAN)
    orders = [[pair["record"] for pair in make_ballot(questions(40), PLAN._replace(seed=seed))] for seed in (1, 2)]
    assert orders[0] != orders[1] and orders[0] != sorted(orders[0])


def test_every_pair_of_three_models_is_shown_once() -> None:
    pairs = [pair for pair in make_ballot(questions(30, models=3), PLAN) if pair["control"] is None]
    assert Counter(pair["record"] for pair in pairs) == {f"{number:016x}": 3 for number in range(30)}
    assert len({pair["pair_id"] for pair in pairs}) == 90
    for pair in pairs:
        number, left = int(pair["record"], 16), int(pair["left_model"][-1])
        assert pair["left_text"] == f"answer {left} to {number}"


def test_sides_are_even_and_follow_no_model() -> None:
    pairs = make_ballot(questions(400), PLAN._replace(controls=0.0))
    assert 160 < sum(pair["left_model"] == "model-0" for pair in pairs) < 240


def test_equal_answers_are_left_out_of_the_page_and_kept_in_the_key() -> None:
    same = Question("f" * 16, "Question", None, {"model-0": "equal", "model-1": " equal\n"})
    pairs = make_ballot([*questions(20), same], PLAN._replace(controls=0.0))
    assert [pair["record"] for pair in pairs if pair["place"] is None] == ["f" * 16]
    assert sorted(pair["place"] for pair in pairs if pair["place"] is not None) == list(range(20))


def test_a_limit_counts_pairs_that_are_shown() -> None:
    same = [Question(f"e{number:015x}", "Q", None, dict.fromkeys(("model-0", "model-1"), "x")) for number in range(20)]
    pairs = make_ballot([*questions(100), *same], PLAN._replace(pairs=30, controls=0.0))
    assert sum(pair["place"] is not None for pair in pairs) == 30
    assert 1 <= sum(pair["place"] is None for pair in pairs) < 20, "of the equal ones, as many as fall to the sample"


@pytest.mark.parametrize("count", [1, 3, 20, 60, 325])
def test_controls_are_of_all_kinds_and_spread_over_the_page(count: int) -> None:
    pairs = make_ballot(questions(count), PLAN)
    kinds = Counter(pair["control"] for pair in pairs)
    repeats, halves = -(-count // 20), -(-count // 40)
    assert kinds == {None: count, "repeat": repeats, "empty": halves, "identical": halves}
    assert [pair["place"] for pair in pairs] == list(range(len(pairs)))
    assert len({pair["pair_id"] for pair in pairs}) == len(pairs)
    places = {pair["pair_id"]: pair["place"] for pair in pairs}
    for pair in pairs:
        if pair["control"] == "repeat":
            first = pairs[places[pair["repeats"]]]
            assert first["place"] < pair["place"]
            assert count < 10 or pair["place"] - first["place"] >= APART
            assert (pair["left_text"], pair["left_model"]) == (first["right_text"], first["right_model"])
        if pair["control"] == "identical":
            assert pair["left_text"] == pair["right_text"] and pair["left_model"] == pair["right_model"]
        if pair["control"] == "empty":
            texts = {pair["left_model"]: pair["left_text"], pair["right_model"]: pair["right_text"]}
            assert texts == {"(reference)": f"Reference {int(pair['record'], 16)}", "(nothing)": ""}
    if count >= 60:
        early = [pair for pair in pairs[: len(pairs) // 2] if pair["control"]]
        assert abs(len(early) - len(pairs) // 20 * 0.9) < 6, "who stops half-way has met about half of them"


def test_without_a_reference_an_answer_stands_against_none() -> None:
    pairs = make_ballot([question._replace(reference=None) for question in questions(20)], PLAN)
    control = next(pair for pair in pairs if pair["control"] == "empty")
    assert "answer" in control["left_text"] + control["right_text"]
