"""Opponents: how their answers are read and joined, what the judge sees, and what cannot be used."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from reprotune.artifacts import RESPONSES, write_table
from reprotune.errors import UserError
from reprotune.judging.answers import Answer
from reprotune.judging.opponents import OTHER, asked, read_opponent, read_outputs
from reprotune.judging.pairs import pair_questions, pair_up
from reprotune.judging.questions.prompts import Item
from reprotune.judging.run import judge_answers, run_metrics


def answers(*rows: tuple[str, str, str]) -> list[Answer]:
    """Answers of both models to rows given as (id, instruction, input)."""
    return [
        Answer(model, identifier, None, Item(instruction, material, "Right.", f"{model} answer"))
        for model in ("base", "finetuned")
        for identifier, instruction, material in rows
    ]


ROWS = answers(("a", "Add.", "1 and 2"), ("b", "Name it.", ""), ("c", "Spell it.", ""))


def written(path: Path, rows: Any) -> Path:
    lines = "\n".join(json.dumps(row) for row in rows) if path.suffix == ".jsonl" else json.dumps(rows)
    path.write_text(lines, encoding="utf-8")
    return path


@pytest.mark.parametrize("name", ["out.json", "out.jsonl"])
def test_outputs_are_joined_by_what_they_answer(tmp_path: Path, name: str) -> None:
    path = written(
        tmp_path / name,
        [
            {"instruction": "Spell it.", "output": "c's", "generator": "gpt", "dataset": "x"},
            {"instruction": "Add.\n\n1 and 2", "output": "a's", "generator": "gpt"},
            {"instruction": "Never asked.", "output": "nobody's", "generator": "gpt"},
        ],
    )
    found = read_opponent(str(path), ROWS)
    assert (found.name, found.model, found.unanswered, found.unmatched) == ("gpt", OTHER, 1, 1)
    assert [(row.id, row.model, row.item.response) for row in found.answers] == [
        ("a", OTHER, "a's"),
        ("c", OTHER, "c's"),
    ]


def test_an_id_comes_before_the_text_and_an_input_may_stand_apart(tmp_path: Path) -> None:
    twins = answers(("a", "Same.", ""), ("a-2", "Same.", ""), ("b", "Add.", "1"))
    path = written(
        tmp_path / "mine.json",
        [
            {"id": "a", "instruction": "Same.", "output": "first"},
            {"id": "a-2", "instruction": "Same.", "output": "second"},
            {"instruction": "Add.", "input": "1", "output": "third"},
        ],
    )
    found = read_opponent(str(path), twins)
    assert {row.id: row.item.response for row in found.answers} == {"a": "first", "a-2": "second", "b": "third"}
    assert (found.name, found.unanswered, found.unmatched) == ("mine", 0, 0)


def test_responses_of_the_pipeline_are_outputs_too(tmp_path: Path) -> None:
    row = {"id": "b", "prompt": "p", "reference": "r", "response": "it", "prompt_tokens": 1, "response_tokens": 1}
    path = tmp_path / "gpt2-medium.parquet"
    write_table(path, pa.Table.from_pylist([{**row, "finish_reason": "eos"}], schema=RESPONSES))
    found = read_opponent(str(path), ROWS)
    assert (found.name, found.unanswered, [row.item.response for row in found.answers]) == ("gpt2-medium", 2, ["it"])


def test_a_reference_is_not_shown_beside_itself() -> None:
    found = read_opponent("reference", ROWS)
    pairs = pair_up([*ROWS, *found.answers], (found.model, "finetuned"))
    text = pair_questions(pairs)[0].messages[0]["content"]
    assert text.count("Right.") == 1 and "REFERENCE" not in text and "correct." not in text
    base = pair_questions(pair_up(ROWS))[0].messages[0]["content"]
    assert "=== BEGIN REFERENCE ANSWER" in base and "The reference answer is correct." in base


def test_the_metrics_name_the_opponent(tmp_path: Path, judge_params: Any) -> None:
    path = written(tmp_path / "o.json", [{"instruction": "Name it.", "output": "Right.", "generator": "better"}])
    params = judge_params(backend="offline", pairwise=True, against=str(path))
    metrics = run_metrics(judge_answers(ROWS, params, None, read_opponent(params.against, ROWS)), params)
    pairs = metrics["pairwise"]
    assert (pairs["against"], pairs["n"], pairs["losses"], pairs["unanswered"]) == ("better", 1, 1, 2)
    assert metrics["base"]["n"] == metrics["finetuned"]["n"] == 3  # the opponent's answers are in no other number
    against_base = run_metrics(judge_answers(ROWS, params, None), params)["pairwise"]
    assert (against_base["against"], against_base["n"]) == ("base", 3)


@pytest.mark.parametrize(
    ("rows", "fault"),
    [
        ({"instruction": "x"}, "should be a list of objects"),
        ([], "has no rows"),
        (["x"], r"row 0 \(counting from 0\) should be an object"),
        ([{"instruction": "Name it."}], "row 0 .* has no output"),
        ([{"output": "x"}], "row 0 .* has no instruction"),
        ([{"instruction": "", "output": "x"}], "row 0 .* has no instruction"),
        ([{"instruction": 7, "output": "x"}], "instruction should be text, but it is 7"),
        ([{"instruction": "Name it.", "output": ["x"]}], "output should be text, but it is"),
        ([{"instruction": "Name it.", "output": "x"}] * 2, r"row 1 .* answers the same as row 0 \('Name it\.'\)"),
        (
            [{"instruction": "Add.", "input": "1", "output": "x"}, {"instruction": "Add.\n\n1", "output": "y"}],
            "row 1 .* answers the same as row 0",
        ),
        ([{"id": "b", "output": "x"}] * 2, "row 1 .* answers the same as row 0"),
        (
            [{"instruction": name, "output": "x", "generator": name} for name in ("Name it.", "Spell it.")],
            r"answers of 2 generators \('Name it\.', 'Spell it\.'\): keep those of one",
        ),
        ([{"instruction": "Never asked.", "output": "x"}], "answers none of the 3 test rows"),
        ([{"instruction": "Name it.", "output": "x" * 1_000_001}], "output of more than 1,000,000 characters"),
    ],
)
def test_what_cannot_be_used_is_one_sentence(tmp_path: Path, rows: Any, fault: str) -> None:
    with pytest.raises(UserError, match=fault) as caught:
        read_opponent(str(written(tmp_path / "o.json", rows)), ROWS)
    assert str(tmp_path / "o.json") in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content"), [("o.json", b"{"), ("o.jsonl", b"{}\n["), ("o.json", b"\xff"), ("o.parquet", b"PAR1")]
)
def test_files_that_are_no_outputs_are_refused(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=name.replace(".", r"\.")):
        read_outputs(tmp_path / name)
    with pytest.raises(UserError, match=r"absent\.json is missing"):
        read_outputs(tmp_path / "absent.json")


def test_a_hostile_name_can_do_nothing_on_a_terminal(tmp_path: Path) -> None:
    row = {"instruction": "Name it.", "output": "x", "generator": "\x1b[2J\u202egpt" + "x" * 500}
    name = read_outputs(written(tmp_path / "o.json", [row])).name
    assert name.startswith("⟨U+001B⟩[2J⟨U+202E⟩gpt") and len(name) < 120


def test_an_input_belongs_to_what_is_asked() -> None:
    assert asked("Add.", "") == "Add." and asked("Add.", "1") == "Add.\n\n1"
