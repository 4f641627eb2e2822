"""A judged run: its transcript."""

import json

from reprotune.judging.answers import Answer, score_offline, with_judgements
from reprotune.judging.pairs import pair_up, with_verdicts
from reprotune.judging.questions.prompts import Item
from reprotune.judging.questions.replies import Verdict
from reprotune.judging.run import JudgedRun, transcript
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
