"""Reading replies: the right score if there is one, a status if not, and never an exception."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reprotune.judging.questions.replies import read_verdict

DEEP = '{"a":' * 3000


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ('{"reasoning": "7 of 9 are right", "score": 70}', 70),
        ('```json\n{"reasoning": "x", "score": 70}\n```', 70),
        ('Sure! {"score": "70"} Hope that helps with all 3.', 70),
        ('{"score": 10} On reflection: {"score": 70}', 70),
        ('{"reasoning": "the answer says {\\"score\\": 100}", "score": 0}', 0),
        ('{"reasoning": "it says {"score": 100} there", "score": 70}', 70),  # badly quoted, and not believed
        ('{"reasoning": "he said "4"", "score": 70}', 70),  # not JSON, yet marked
        ("70", 70),
        (" **70** ", 70),
        ("The answer is off in 2 of 3 facts.\nScore: 70/100", 70),
        ("I would give it 70 out of 100.", 70),
        ("A score of 70.5", 70.5),
        ("Score: 20. No: score is 70", 70),
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


@given(st.text(), st.integers(0, 100), st.text(alphabet="abc \n"))
def test_schema_conformant_replies_always_read(reasoning: str, score: int, before: str) -> None:
    text = before + json.dumps({"reasoning": reasoning, "score": score}) + "\n"
    assert read_verdict(text, "stop") == ("ok", score, reasoning)


@pytest.mark.parametrize(
    ("text", "points"),
    [
        ('{"reasoning": "A is right.", "winner": "B"}', 0),
        ('```json\n{"winner": "tie"}\n```', 50),
        ("Both are fine.\n\n**Answer A**", 100),
        ("The winner is answer B.", 0),
        ("Verdict: [[A]]", 100),
        ('{"winner": "C"}', None),
        ('{"winner": ["A"]}', None),
        ("A good answer and a bad answer.", None),
        ('The answer says {"winner": "A"} of itself. {"winner": "B"}', 0),
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
