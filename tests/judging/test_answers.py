"""From answers to scores: what needs no judge, what a judge adds, and that nothing is imputed."""

from reprotune.judging.answers import (
    Answer,
    ScoredAnswer,
    answer_questions,
    score_offline,
    score_row,
    with_judgements,
)
from reprotune.judging.questions.prompts import Item
from reprotune.judging.questions.replies import Verdict
from reprotune.judging.service.collect import Judgement


def answers(*texts: str, canary: bool = False) -> list[Answer]:
    return [
        Answer("base", f"row{n}", None, Item(f"Question {n}", "", "The right answer.", text), canary)
        for n, text in enumerate(texts)
    ]


def judged() -> list[ScoredAnswer]:
    verdicts = [Verdict("ok", 10.0), Verdict("unparsable")]
    judgements = [Judgement(verdict, ("raw", f"raw {verdict.score}"), "key") for verdict in verdicts]
    return with_judgements(score_offline(answers("wrong", "", "odd", "The right  answer")), iter(judgements))


def test_empty_and_exact_answers_need_no_judge() -> None:
    rows = answers("wrong", " \n", "odd", "The right  answer")
    assert [row.status for row in rows] == ["ok", "empty", "ok", "exact"]
    asked = [question.messages[0]["content"] for question in answer_questions(rows, "reference")]
    assert len(asked) == 2
    assert "\nwrong\n" in asked[0] and "\nodd\n" in asked[1]


def test_the_judge_sees_a_canary_even_if_it_is_an_exact_match_or_empty() -> None:
    rows = answers("The right answer.", "", canary=True)
    assert [row.status for row in rows] == ["ok", "ok"]
    assert len(answer_questions(rows, "reference")) == 2


def test_judgements_go_to_the_answers_that_needed_one_and_a_missing_score_stays_null() -> None:
    scored = judged()
    assert [row.status for row in scored] == ["ok", "empty", "unparsable", "exact"]
    assert [row.score for row in scored] == [10, 0, None, 100]
    assert [row.judgement is None for row in scored] == [False, True, False, True]


def test_offline_rows_are_scored_by_the_composite() -> None:
    wrong, close = score_offline(answers("wrong", "The right thing."))
    assert (wrong.status, close.status) == ("ok", "ok")
    assert wrong.score is not None and close.score is not None and wrong.score < close.score < 100


def test_a_row_keeps_the_last_raw_reply() -> None:
    row = score_row(judged()[2], "method")
    assert (row["score"], row["raw"], row["method"]) == (None, "raw None", "method")
    assert score_row(judged()[3], "method")["raw"] is None
