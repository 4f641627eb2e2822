"""Metrics of scored answers: nothing imputed, everything counted."""

import numpy as np
import pytest
from scipy import stats

from reprotune.errors import UserError
from reprotune.judging.answers import Answer, ScoredAnswer, answer_questions, score_offline, with_judgements
from reprotune.judging.metrics import check_coverage, summarise
from reprotune.judging.questions.prompts import Item
from reprotune.judging.questions.replies import Verdict
from reprotune.judging.service.collect import Judgement
from reprotune.statistics.intervals import mean_interval
from reprotune.statistics.paired import paired_test


def answers(base: list[str], finetuned: list[str], categories: list[str | None]) -> list[Answer]:
    return [
        Answer(model, f"row{n}", categories[n], Item(f"Question {n}", "", "The right answer.", text))
        for model, texts in (("base", base), ("finetuned", finetuned))
        for n, text in enumerate(texts)
    ]


def judge(rows: list[Answer], *verdicts: Verdict) -> list[ScoredAnswer]:
    assert len(answer_questions(rows, "reference")) == len(verdicts)
    return with_judgements(score_offline(rows), iter([Judgement(verdict, (), "key") for verdict in verdicts]))


def judged() -> list[ScoredAnswer]:
    rows = answers(
        ["wrong one", "", "quite wrong", "odd"],
        ["The right answer", "wrong", "right answer", "odder"],
        ["a", "a", "b", None],
    )
    verdicts = [Verdict("ok", 10.0), Verdict("ok", 30.0), Verdict("unparsable")]
    verdicts += [Verdict("ok", 20.0), Verdict("refused"), Verdict("ok", 50.0)]
    return judge(rows, *verdicts)


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
    expected = paired_test([(10, 100), (0, 20)], 1, span=100)
    assert (difference["ci95_low"], difference["ci95_high"]) == (expected.ci95_low, expected.ci95_high)
    assert difference["verdict"] == expected.verdict == "too few rows"


def test_rows_of_one_kind_are_not_independent() -> None:
    rows = [str(row) for row in range(120)]
    kinds: list[str | None] = [f"kind {row % 10}" for row in range(120)]
    scores = [100.0 if row % 10 < 6 else 20.0 for row in range(120)]
    verdicts = [Verdict("ok", 10.0) for _ in rows] + [Verdict("ok", score) for score in scores]
    found = summarise(judge(answers(rows, [f"answer {row}" for row in rows], kinds), *verdicts), "m", seed=1)
    for numbers in (found["finetuned"], found["difference"]):
        assert numbers["stderr_clustered"] > 3 * numbers["stderr"]
        assert numbers["ci95_high"] - numbers["ci95_low"] > 4 * numbers["stderr_clustered"]
        assert numbers["ci95_high"] <= 100
    assert found["base"]["ci95_low"] < 10 < found["base"]["ci95_high"]


def test_categories() -> None:
    categories = summarise(judged(), "m", seed=1)["categories"]
    none = dict.fromkeys(("base_low", "base_high", "finetuned_low", "finetuned_high"))
    scores = {"n": 2, "base": 5, "finetuned": 60, "base_exact": 0, "finetuned_exact": 0.5}
    assert categories["a"] == {**scores, **none, "verdict": "too few rows"}
    assert categories["b"]["finetuned"] is None
    assert categories["(none)"]["n"] == 1
    without = score_offline(answers(["x"], ["y"], [None]))
    assert summarise(without, "m", seed=1)["categories"] == {}


def test_a_category_has_an_interval_and_a_verdict_where_its_rows_suffice() -> None:
    kinds: list[str | None] = [*["five"] * 5, *["twelve"] * 12]
    rows = [str(row) for row in range(17)]
    verdicts = [Verdict("ok", 10.0) for _ in rows] + [Verdict("ok", 80.0 + row) for row in range(17)]
    found = summarise(judge(answers(rows, [f"answer {row}" for row in rows], kinds), *verdicts), "m", seed=1)
    five, twelve = found["categories"]["five"], found["categories"]["twelve"]
    assert (five["finetuned_low"], five["finetuned_high"], five["verdict"]) == (None, None, "too few rows")
    expected = mean_interval([80.0 + row for row in range(5, 17)], (0, 100))
    assert (twelve["finetuned_low"], twelve["finetuned_high"]) == (expected.ci95_low, expected.ci95_high)
    assert twelve["base_low"] < 10 < twelve["base_high"]
    assert twelve["verdict"] == "better"


def test_coverage_below_the_limit_fails_in_one_sentence() -> None:
    metrics = summarise(judged(), "m", seed=1) | {"pairwise": None}
    check_coverage(metrics, 0.75)
    with pytest.raises(UserError, match=r"75.0% of the answers of model base .*1 unparsable.*every reply is kept"):
        check_coverage(metrics, 0.8)


def test_nothing_judged_fails_whatever_the_limit() -> None:
    scored = judge(answers(["x"], ["y"], ["a"]), Verdict("error"), Verdict("error"))
    with pytest.raises(UserError, match=r"^no answer of model base got a score \(1 error\), so there is no result"):
        check_coverage(summarise(scored, "m", seed=1) | {"pairwise": None}, 0.0)
