"""A judged run: its transcript."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reprotune.judging.answers import Answer, score_offline, with_judgements
from reprotune.judging.pairs import pair_up, with_verdicts
from reprotune.judging.questions import prompts
from reprotune.judging.questions.prompts import Item
from reprotune.judging.questions.replies import Verdict
from reprotune.judging.run import Judge, JudgedRun, judge_parts, method_name, transcript
from reprotune.judging.service.collect import Judgement

ANSWERS = [
    Answer("base", "r0", None, Item("Name it.", "", "Right.", "wrong")),
    Answer("finetuned", "r0", None, Item("Name it.", "", "Right.", "Right")),
]


def judgement(text: str, score: float | None) -> Judgement:
    return Judgement(Verdict("unparsable" if score is None else "ok", score), (text,), f"key of {text}")


def test_every_reply_is_in_the_transcript() -> None:
    canary = ANSWERS[0]._replace(model="foreign", canary=True)
    run = JudgedRun(
        with_judgements(score_offline(ANSWERS), iter([judgement("ten", 10.0)])),
        with_judgements(score_offline([canary]), iter([judgement("what?", None)])),
        with_verdicts(pair_up(ANSWERS), iter([judgement("B", 0.0), judgement("A", 100.0)])),
    )
    lines = [json.loads(line) for line in transcript(run, {"model": "llama3"}).splitlines()]
    assert [(line["purpose"], line["model"], line["score"], line["replies"]) for line in lines] == [
        ("score", "base", 10, ["ten"]),
        ("canary", "foreign", None, ["what?"]),
        ("pairwise", "base", 0, ["B"]),
        ("pairwise", "finetuned", 100, ["A"]),
    ]
    assert {line["id"] for line in lines} == {"r0"}
    assert lines[1]["status"] == "unparsable"
    assert lines[2]["judge"] == {"model": "llama3"}


def test_without_a_judge_the_transcript_is_empty() -> None:
    assert transcript(JudgedRun(score_offline(ANSWERS), [], pair_up(ANSWERS)), {}) == ""


IDENTITY = {"backend": "ollama", "model": "llama3", "digest": "d1", "address": "local", "options": {"seed": 1}}


def method(params: Any, identity: dict[str, Any] = IDENTITY, **told: Any) -> str:
    """Name the scores of a run whose service told something about itself."""
    said = judgement("ten", 10.0)._replace(**told)
    judge = Judge(identity, lambda asked: [said for _ in asked])
    return method_name(judge_parts(params, judge, with_judgements(score_offline(ANSWERS), iter([said]))))


def test_a_method_is_everything_that_makes_scores_comparable(
    judge_params: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = judge_params(temperature=0.5)
    names = [
        method(params),
        method(params, IDENTITY | {"digest": "d2"}),  # the tag stands for another model now
        method(params, IDENTITY | {"address": "remote"}),
        method(judge_params(temperature=0.6)),
        method(judge_params(temperature=0.5, repeats=2)),
        method(judge_params(temperature=0.5, expected_score=True)),
        method(params, fingerprints=frozenset({"fp_1"})),
        method(params, refused=frozenset({"temperature"})),
    ]
    edited = tmp_path / "rubrics"
    shutil.copytree(prompts.RUBRICS, edited)
    text = (edited / "reference.jinja").read_text()
    (edited / "reference.jinja").write_text(text.replace("50: partly", "50: more or less partly"))
    monkeypatch.setattr(prompts, "RUBRICS", edited)
    names.append(method(params))
    assert len(set(names)) == len(names)
    assert all(name.startswith("ollama:llama3:reference:") for name in names)
    (edited / "reference.jinja").write_text(text)
    assert method(judge_params(temperature=0.5, seed=9, canaries=7, min_coverage=0.1)) == names[0]
    assert method_name(None) == "offline_composite"
