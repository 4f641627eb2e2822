"""From answers to scores to metrics: nothing imputed, everything counted."""

import numpy as np
import pytest
from scipy import stats

from reprotune.errors import UserError
from reprotune.judging.answers import Answer
from reprotune.judging.metrics import check_coverage, summarise
from reprotune.judging.questions.prompts import Item
from reprotune.judging.questions.replies import Verdict
from reprotune.judging.scoring import ScoredAnswer, answer_questions, score_offline, score_row, with_judgements
from reprotune.judging.service.collect import Judgement
from reprotune.judging.transcript import answer_lines


def answers(base: list[str], finetuned: list[str], categories: list[str | None]) -> list[Answer]:
    return [
        Answer(model, f"row{n}", categories[n], Item(f"Question {n}", "", "The right answer.", text))
        for model, texts in (("base", base), ("finetuned", finetuned))
        for n, text in enumerate(texts)
    ]


def judge(scored: list[ScoredAnswer], *verdicts: Verdict) -> list[ScoredAnswer]:
    assert len(answer_questions(scored, "reference")) == len(verdicts)
    judgements = [Judgement(verdict, (f"raw {verdict.score}",), f"key{n}") for n, verdict in enumerate(verdicts)]
    return with_judgements(scored, iter(judgements))


def judged() -> list[ScoredAnswer]:
    rows = answers(
        ["wrong one", "", "quite wrong", "odd"],
        ["The right answer", "wrong", "right answer", "odder"],
        ["a", "a", "b", None],
    )
    verdicts = [Verdict("ok", 10.0), Verdict("ok", 30.0), Verdict("unparsable")]
    verdicts += [Verdict("ok", 20.0), Verdict("refused"), Verdict("ok", 50.0)]
    return judge(score_offline(rows), *verdicts)


def test_exact_and_empty_answers_are_scored_without_a_call() -> None:
    scored = judged()
    assert [row.status for row in scored] == ["ok", "empty", "ok", "unparsable", "exact", "ok", "refused", "ok"]
    assert [row.score for row in scored] == [10, 0, 30, None, 100, 20, None, 50]
    assert [row.judgement is None for row in scored] == [False, True, False, False, True, False, False, False]


def test_metrics_count_the_unscored_and_impute_nothing() -> None:
    metrics = summarise(judged(), "ollama:llama3:reference", seed=1)
    base = metrics["base"]
    assert base["score"] == pytest.approx((10 + 0 + 30) / 3)
    assert base["stderr"] == pytest.approx(stats.sem([10, 0, 30]))
    assert (base["n"], base["unscored"], base["coverage"]) == (3, 1, 0.75)
    assert (base["score_low"], base["score_high"]) == (10, 35)
    assert base["status"] == {"empty": 1, "ok": 2, "unparsable": 1}
    assert metrics["finetuned"]["exact_match"] == 0.25


def test_difference_is_paired_over_rows_scored_for_both() -> None:
    difference = summarise(judged(), "m", seed=1)["difference"]
    pairs = [100 - 10, 20 - 0]
    assert difference["n"] == 2
    assert difference["score"] == pytest.approx(np.mean(pairs))
    expected = stats.ttest_rel([100, 20], [10, 0]).confidence_interval()
    assert (difference["ci95_low"], difference["ci95_high"]) == pytest.approx((expected.low, expected.high))


def test_categories() -> None:
    categories = summarise(judged(), "m", seed=1)["categories"]
    assert categories["a"] == {"n": 2, "base": 5, "finetuned": 60, "base_exact": 0, "finetuned_exact": 0.5}
    assert categories["b"]["finetuned"] is None
    assert categories["(none)"]["n"] == 1
    without = score_offline(answers(["x"], ["y"], [None]))
    assert summarise(without, "m", seed=1)["categories"] == {}


def test_coverage_below_the_limit_fails_in_one_sentence() -> None:
    metrics = summarise(judged(), "m", seed=1) | {"pairwise": None}
    check_coverage(metrics, 0.75)
    with pytest.raises(UserError, match=r"75.0% of the answers of model base .*1 unparsable.*every reply is kept"):
        check_coverage(metrics, 0.8)


def test_nothing_judged_fails_whatever_the_limit() -> None:
    rows = answers(["x"], ["y"], ["a"])
    scored = judge(score_offline(rows), Verdict("error"), Verdict("error"))
    with pytest.raises(UserError, match=r"only 0\.0%"):
        check_coverage(summarise(scored, "m", seed=1) | {"pairwise": None}, 0.0)


def test_offline_rows_are_scored_by_the_composite() -> None:
    rows = score_offline(answers(["wrong"], ["The right thing."], ["a"]))
    assert [row.status for row in rows] == ["ok", "ok"]
    assert rows[0].score is not None and rows[1].score is not None and rows[0].score < rows[1].score < 100
    assert answer_lines(rows, {}, "score") == []


def test_row_and_verdict_line_keep_the_raw_reply() -> None:
    scored = judged()
    row = score_row(scored[3], "method")
    assert (row["score"], row["raw"], row["method"]) == (None, "raw None", "method")
    lines = answer_lines(scored, {"model": "llama3"}, "score")
    assert len(lines) == 6
    assert '"replies": ["raw 10.0"]' in lines[0] and '"model": "llama3"' in lines[0]
