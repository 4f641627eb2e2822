"""Answers from artifacts and from files of others, joined by what was asked."""

import json
import re
from pathlib import Path

import pytest

from reprotune.errors import UserError
from reprotune.preference.contestants import Contestant, Given, of_outputs, of_responses, questions


def write(path: Path, rows: object) -> Path:
    path.write_text(json.dumps(rows), encoding="utf-8")
    return path


def test_responses_and_outputs_are_joined_by_prompt(workspace: Path) -> None:
    data = workspace / "data"
    base = of_responses("base", data / "responses/base.parquet", data / "split/test.parquet")
    prompts = [prompt for prompt, before in base.answers if not before]
    rows = [
        {"instruction": prompt, "output": f"Output {index}", "generator": "gpt-9"}
        for index, prompt in enumerate(prompts)
    ]
    other = of_outputs(write(workspace / "outputs.json", [*rows, {"instruction": "More?", "output": "No"}]))
    assert other.name == "gpt-9"
    joined, alone = questions([base, other])
    assert (len(joined), alone) == (len(prompts), len(base.answers) - len(prompts) + 1)
    assert "The quik brown fox jumps ovr the lazy dog." in {question.prompt.split("\n\n")[-1] for question in joined}
    one = next(question for question in joined if question.record == f"{0:016x}")
    assert one.reference is not None and one.answers["gpt-9"] == "Output 0"


def test_json_lines_without_generator_are_called_like_the_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text('{"instruction": "a", "output": "b"}\n\n{"instruction": "a", "output": "c"}\n', encoding="utf-8")
    found = of_outputs(path)
    assert found == Contestant("mine", {("a", 0): Given("b"), ("a", 1): Given("c")})
    joined, _ = questions([found, of_outputs(path, "again")])
    assert [question.answers for question in joined] == [{"mine": "b", "again": "b"}, {"mine": "c", "again": "c"}]
    assert joined[1].record == f"{joined[0].record}-2"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "outputs.json has no rows"),
        ("[1]", "row 1 should be an object, but it is 1"),
        ('[{"output": "x"}]', "row 1: instruction is missing"),
        ('[{"instruction": "x", "output": 3}]', "row 1: output should be text, not 3"),
        ('{"instruction": "x", "output": "y"}\n{"instruction"', "line 2 is not valid JSON"),
        ('[{"instruction": "x", "output": "y", "generator": "a\\u202eb"}]', "generator should be a name of 1 to 80"),
        (
            '[{"instruction": "x", "output": "y", "generator": "a"}, '
            '{"instruction": "x", "output": "y", "generator": "b"}]',
            "2 generators",
        ),
    ],
)
def test_an_unusable_file_is_one_sentence(text: str, fault: str, tmp_path: Path) -> None:
    path = tmp_path / "outputs.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=re.escape(fault)):
        of_outputs(path)


def test_what_cannot_be_compared_is_refused() -> None:
    one, other = Contestant("a", {("x", 0): Given("1")}), Contestant("b", {("y", 0): Given("1")})
    with pytest.raises(UserError, match="two contestants or more"):
        questions([one])
    with pytest.raises(UserError, match="two contestants are called 'a'"):
        questions([one, one])
    with pytest.raises(UserError, match="a and b have no prompt in common"):
        questions([one, other])
