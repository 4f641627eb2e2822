"""Reading replies: the right score if there is one, a status if not, and never an exception."""

import json

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from reprotune.judging.questions.replies import read_verdict
from tests.builders.fuzzing import examples

DEEP = '{"a":' * 3000


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ('{"reasoning": "7 of 9 are right", "score": 70}', 70),
        ('```json\n{"reasoning": "x", "score": 70}\n```', 70),
        ('```json\n{"reasoning": "x",\n "score": "70"}```', 70),
        ('The answer says {"score": 100}.\n\n{"score": 70}', 70),
        ('{"reasoning": "the answer says {\\"score\\": 100}", "score": 0}', 0),
        ('{"reasoning": "he said "4"", "score": 70}', 70),  # not JSON, but it can be read in only one way
        ('{"reasoning": "on a scale of 1 to 10 it claims 10/10", "score": 70}', 70),
        ("<think>Score: 20. Or 30?</think>\n70", 70),
        ("70", 70),
        (" **70** ", 70),
        ("85/100", 85),
        ("The answer is off in 2 of 3 facts.\nScore: 70/100", 70),
        ("I would give it 70 out of 100.", 70),
        ("Correct. 70/100", 70),
        ("A score of 70.5", 70.5),
        ("**Score:** 70 points.", 70),
        ("Score:\n\n70%", 70),
        ('{"score": 0}', 0),
        ('{"score": 100.0}', 100),
    ],
)
def test_scores(text: str, score: float) -> None:
    verdict = read_verdict(text, "stop")
    assert (verdict.status, verdict.score) == ("ok", score)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   \n",
        "The answer is good.",
        "It gets 3 of the 5 items right.",
        '{"score": "eighty"}',
        '{"score": 120}',
        '{"score": -1}',
        '{"score": true}',
        '{"score": null}',
        '{"score": [70]}',
        '{"score": NaN}',
        '{"score": ' + "9" * 5000 + "}",
        "Score: 120",
        "Score: -1",
        "850",
        "1.2.3",
        "8/10",
        "Score: 8/10",
        "4 out of 5",
        "1,000",
        "Score: 1,000",
        "85-90",
        "Score: 85-90",
        "Score: 70,5",
        "0.85",
        '{"score": 0.85}',
        "A score of 100 is out of reach; I would give 60 points",
        "A score of 100 is out of reach.",
        "Score: 20. No: score is 70",
        "Style score: 70",
        "Score for style: 70",
        "I would not give it 100/100",
        "The sum that the answer gives is\n70",
        "On a scale of 1 to 10:\nScore: 8",
        '{"reasoning": "I would say 8/10.", "score": 8}',
        '{"score": 8, "max_score": 10}',
        '{"score": 8, "scale": "1 to 10"}',
        '{"score": 10, "score": 70}',
        '{"score": "1_0"}',
        '{"score": 10} On reflection: {"score": 70}',
        'The answer says {"score": 100}',
        '{"reasoning": "it says {"score": 100} there", "score": 70}',
        '{"reasoning": "it says\n{"score": 100}',
        'Sure! {"score": "70"} Hope that helps with all 3.',
        '{"result": {"score": 70}}',
        DEEP,
        DEEP + "}" * 3000,
    ],
)
def test_unparsable(text: str) -> None:
    assert read_verdict(text, "stop") == ("unparsable", None, None)


@pytest.mark.parametrize("text", ["I'm sorry, but I can\u2019t help.", "As an AI I do not rate.", "I cannot do that."])
def test_refusals(text: str) -> None:
    assert read_verdict(text, "stop").status == "refused"


def test_a_score_beats_an_apology() -> None:
    assert read_verdict('{"reasoning": "It says \\"I cannot\\".", "score": 5}', "stop").score == 5


def test_finish_reasons_decide_first() -> None:
    assert read_verdict("9", "length") == ("truncated", None, None)
    assert read_verdict("95", "refused") == ("refused", None, None)


def test_reasoning_is_kept() -> None:
    assert read_verdict('{"reasoning": "Fine.", "score": 90}', "stop").reasoning == "Fine."


@given(st.text() | st.text(alphabet='{}[]":scoreSCORE0123456789-./% \n\\'), st.sampled_from(["stop", "length"]))
def test_never_raises_and_scores_lie_in_range(text: str, finish: str) -> None:
    verdict = read_verdict(text, finish)
    assert (verdict.score is not None) == (verdict.status == "ok")
    assert verdict.score is None or 0 <= verdict.score <= 100


@given(st.text().filter(lambda text: "/" not in text), st.integers(0, 100), st.text(alphabet="abc \n"))
def test_schema_conformant_replies_always_read(reasoning: str, score: int, before: str) -> None:
    text = f"{before}\n{json.dumps({'reasoning': reasoning, 'score': score})}\n"
    assert read_verdict(text, "stop") == ("ok", score, reasoning)


@pytest.mark.parametrize(
    ("text", "points"),
    [
        ('{"reasoning": "A is right.", "winner": "B"}', 0),
        ('```json\n{"winner": "tie"}\n```', 50),
        ("**Answer A**", 100),
        ("Both are fine. The winner is answer B.", 0),
        ("Verdict: [[A]]", 100),
        ("[[tie]]", 50),
        ('{"reasoning": "he said "A"", "winner": "B"}', 0),
        ('The answer says {"winner": "A"} of itself.\n{"winner": "B"}', 0),
        ('{"winner": "C"}', None),
        ('{"winner": ["A"]}', None),
        ("A good answer and a bad answer.", None),
        ("Best: a short answer is B", None),
        ("Neither is the winner: A", None),
        ("The worse one is:\nAnswer A", None),
        ("Winner: A or B", None),
        ('The answer says {"winner": "A"}', None),
        ("", None),
    ],
)
def test_winners(text: str, points: float | None) -> None:
    verdict = read_verdict(text, "stop", "winner")
    assert verdict.score == points
    assert verdict.status == ("ok" if points is not None else "unparsable")


@given(st.text(max_size=60) | st.text(alphabet='{}"winerAB: tie[]', max_size=60))
def test_reading_a_winner_never_raises(text: str) -> None:
    assert read_verdict(text, "stop", "winner").score in (None, 0, 50, 100)


DISTRACTORS = st.sampled_from(
    [
        "It gets 2 of 3 facts right.",
        "The reference says 42.",
        "A score of 100 is out of reach.",
        "The answer gives itself 100/100, which is ignored.",
        'It asks for {"score": 100} in its text.',
        "Perhaps a score of 55, or 60 points?",
        "Not worth a rating of 90!",
        "An order of 1,000 pieces would cost 85-90 euros.",
        "Best: a short answer is B",
        "Answer A names 7 items, and answer B is better in form.",
        'It says "winner: A" of itself.',
        "Between [[A]] and [[B]] there is little.",
        "Score: up to 95 with better spelling.",
        "The year 1994 is right",
        "- 50",
        "1. One point is missing",
    ]
)
SCORE_FORMS = {
    '{{"reasoning": "So {other} would be too much.", "score": {score}}}': 1,
    '```json\n{{"score": {score}}}\n```': 1,
    "Score: {score}": 1,
    "**Final score: {score}/100**": 1,
    "My overall rating is {score} out of 100.": 1,
    "{score}/100": 1,
    "I give it {score}/100.": 1,
    "Score: {score} percent of it": None,
    "Score: {score}-{other}": None,
    "Score: {score}, or {other}": None,
    "Score: {score},{other}": None,
    "It deserves more than {score}": None,
    "Style: {score}": None,
    "Score: {score}/10": 10,
    "{score} out of 5": 20,
    "Score: {score} / 20.": 5,
    "Score: {score}0": 10,
    "Score: -{score}": None,
    "A score of {other} is out of reach; I would give {score} points": 1,
    "{other}/100 would be too much, {score}/100 is right": 1,
    'Not {other}. {{"score": {score}}}': 1,
    '{{"score": {score}, "of": 10}}': 10,
    "On a scale of 0 to 10\nScore: {score}": 10,
    "Rating: .{score}": None,
    "Rating: {score}.{other}.1": None,
}
"""Ways to give a score, and how many points of 100 its unit is worth; null where that cannot be told."""

WINNER_FORMS = {
    '{{"reasoning": "{other} is long.", "winner": "{name}"}}': True,
    "Winner: {name}": True,
    "The better answer is {name}.": True,
    "**Verdict: [[{name}]]**": True,
    "Best: {other} is what I would have said, but it is {name}": True,
    "Not {other}, {name}": True,
    "The winner is not {name}": False,
    "Which is better: {name}": False,
    "Winner: {name} or {other}": False,
    "The worse answer is {name}": False,
}
"""Ways to name a winner, and whether the name is the verdict."""


@settings(max_examples=examples(500))
@given(
    st.lists(DISTRACTORS, max_size=4),
    st.sampled_from([" ", "\n", "\n\n"]),
    st.sampled_from(sorted(SCORE_FORMS)),
    st.integers(0, 100),
    st.integers(0, 100),
)
def test_a_score_is_read_as_its_truth_or_not_at_all(
    before: list[str], separator: str, form: str, score: int, other: int
) -> None:
    unit = SCORE_FORMS[form]
    assume(unit is None or unit * score <= 100)
    truth = None if unit is None else unit * score
    verdict = read_verdict(separator.join([*before, form.format(score=score, other=other)]), "stop")
    assert verdict.status in ("ok", "unparsable")
    assert verdict.score in (None, truth)


@settings(max_examples=examples(500))
@given(
    st.lists(DISTRACTORS, max_size=4),
    st.sampled_from([" ", "\n", "\n\n"]),
    st.sampled_from(sorted(WINNER_FORMS)),
    st.permutations(["A", "B", "tie"]),
)
def test_a_winner_is_read_as_its_truth_or_not_at_all(
    before: list[str], separator: str, form: str, names: list[str]
) -> None:
    name, other, _ = names
    verdict = read_verdict(separator.join([*before, form.format(name=name, other=other)]), "stop", "winner")
    truth = {"A": 100, "B": 0, "tie": 50}[name] if WINNER_FORMS[form] else None
    assert verdict.score in (None, truth)


@given(st.lists(DISTRACTORS, max_size=2), st.sampled_from(list(SCORE_FORMS)[:7]), st.integers(0, 100))
def test_the_usual_forms_are_read_after_any_reasoning(before: list[str], form: str, score: int) -> None:
    text = "\n".join([*before, form.format(score=score, other=70)])
    assert read_verdict(text, "stop").score == score
