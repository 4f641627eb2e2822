"""Pairs: both orders, ties without a call, what is summarised, the command."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from reprotune.artifacts import RECORDS, RESPONSES, write_table
from reprotune.judging.answers import Answer, score_offline
from reprotune.judging.pairs import pair_questions, pair_up, summarise_pairs, with_scores, with_verdicts
from reprotune.judging.questions.prompts import Item
from reprotune.judging.questions.replies import Verdict
from reprotune.judging.service.collect import Judgement
from tests.builders.command_line import reprotune

ROOT = Path(__file__).resolve().parents[2]


def answers(base: list[str], finetuned: list[str]) -> list[Answer]:
    return [
        Answer(model, f"row{n}", None, Item("Question", "", "Right.", text))
        for model, texts in (("base", base), ("finetuned", finetuned))
        for n, text in enumerate(texts)
    ]


@pytest.mark.parametrize(
    ("baseline_first", "candidate_first", "status", "outcome"),
    [
        (0, 100, "ok", 1.0),
        (100, 0, "ok", 0.0),
        (100, 100, "ok", 0.5),
        (0, 0, "ok", 0.5),
        (50, 100, "ok", 0.5),
        (50, 50, "ok", 0.5),
        (None, 100, "refused", None),
        (0, None, "refused", None),
    ],
)
def test_only_agreement_of_both_orders_is_a_win(
    baseline_first: float | None, candidate_first: float | None, status: str, outcome: float | None
) -> None:
    verdicts = [Verdict("refused" if score is None else "ok", score) for score in (baseline_first, candidate_first)]
    judgements = iter([Judgement(verdict, (), "k") for verdict in verdicts])
    (row,) = with_verdicts(pair_up(answers(["a"], ["b"])), judgements)
    assert (row.status, row.outcome) == (status, outcome)
    found = summarise_pairs([row])
    assert (found["n"], found["unscored"]) == ((0, 1) if outcome is None else (1, 0))


def test_identical_answers_tie_without_a_call() -> None:
    pairs = pair_up(answers(["same", "a"], ["same ", "b"]))
    asked = pair_questions(pairs)
    assert len(asked) == 2
    first, second = (question.messages[0]["content"] for question in asked)
    assert (
        first != second
        and first.index("\na\n") < first.index("\nb\n")
        and second.index("\nb\n") < second.index("\na\n")
    )
    assert (pairs[0].status, pairs[0].outcome) == ("identical", 0.5)


def test_the_composite_decides_without_a_judge() -> None:
    rows = answers(["Wrong", "Right", "x"], ["Right.", "Rigth", "x"])
    found = summarise_pairs(with_scores(pair_up(rows), score_offline(rows)))
    assert (found["wins"], found["losses"], found["ties"], found["identical"]) == (1, 1, 1, 1)
    assert found["win_rate"] == 0.5 and found["position_bias"] is None
    assert found["ci95_low"] < 0.5 < found["ci95_high"]


def test_the_command_compares_two_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text((ROOT / "params.yaml").read_text())
    record: dict[str, Any] = {"instruction": "i", "input": "", "output": "Right.", "category": None, "source_row": 0}
    counts = {"prompt": "p", "prompt_tokens": 1, "response_tokens": 1, "finish_reason": "eos", "reference": "Right."}
    write_table(Path("data/split/test.parquet"), pa.Table.from_pylist([{"id": "r", **record}], schema=RECORDS))
    for name, text in (("old", "Wrong"), ("new", "Right")):
        row = {"id": "r", "response": text, **counts}
        write_table(Path(f"{name}.parquet"), pa.Table.from_pylist([row], schema=RESPONSES))
    lines = reprotune("pairwise", "old.parquet", "new.parquet").stdout.splitlines()
    assert "candidate wins (ties count half)  100.0%" in lines
    assert "won, lost, tied                   1, 0, 0" in lines
    values = json.loads(reprotune("pairwise", "new.parquet", "old.parquet", "--json").stdout)
    assert (values["wins"], values["losses"]) == (0, 1)


def test_the_interval_is_that_of_the_verdict() -> None:
    """Six wins and eight ties: clearly better, so 50 % is not in the interval beside it."""
    rows = answers(["Wrong"] * 6 + ["x"] * 8, ["Right."] * 6 + ["x"] * 8)
    found = summarise_pairs(with_scores(pair_up(rows), score_offline(rows)))
    assert (found["wins"], found["ties"], found["verdict"]) == (6, 8, "better")
    assert found["ci95_low"] > 0.5
