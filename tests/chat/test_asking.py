"""`reprotune ask`, against `generate`."""

import json
from pathlib import Path

import pytest

from reprotune.artifacts import read_table
from reprotune.chat.asking import ANSWERS
from reprotune.chat.models import Model, open_model
from reprotune.compute.device import Compute, pick_compute
from reprotune.errors import UserError
from reprotune.generation.decoding import DecodingSettings, answer_text, generate
from tests.builders.command_line import reprotune

ROWS = [{"instruction": "Name a colour."}, {"instruction": "Spell.", "input": "teh 日本", "output": "ignored"}]
TOKENS = 64
"""`generate.max_new_tokens` of the default params."""


@pytest.fixture(autouse=True)
def inside(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    monkeypatch.setenv("REPROTUNE_DEVICE", "cpu")


def expected(model: Model, instruction: str, material: str) -> str:
    prompt = model.prompts.of_record(instruction, material)
    answer = generate(model.network, [prompt.ids], DecodingSettings(TOKENS, 1, model.tokenizer.end_of_text))[0]
    return answer_text(model.tokenizer.decode(answer.token_ids), prompt.header)


def test_one_question(model: Model) -> None:
    outcome = reprotune("ask", "Spell.", "--input", "teh 日本")
    assert outcome.exit_code == 0, outcome.stderr
    assert outcome.stdout == f"{expected(model, 'Spell.', 'teh 日本')}\n"
    assert outcome.stderr == f"(cut after {TOKENS} tokens: generate.max_new_tokens)\n"
    assert reprotune("ask", "Spell.", "--model", "base").stdout != outcome.stdout


def test_a_file_of_questions(model: Model, tmp_path: Path) -> None:
    source, target = tmp_path / "rows.jsonl", tmp_path / "answers.parquet"
    source.write_text(f"{json.dumps(ROWS[0])}\n\n{json.dumps(ROWS[1])}\n", encoding="utf-8")
    outcome = reprotune("ask", "--file", source, "--out", target)
    assert outcome.exit_code == 0, outcome.stderr
    assert outcome.stderr.endswith("2 answers of finetuned, 2 of them cut at their longest length\n")
    found = read_table(target, ANSWERS).to_pylist()
    assert [row["row"] for row in found] == [1, 3]
    for row, asked in zip(found, ROWS, strict=True):
        material = asked.get("input", "")
        assert row["response"] == expected(model, asked["instruction"], material)
        assert row["prompt"] == model.prompts.of_record(asked["instruction"], material).text
        assert row["finish_reason"] == "length"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "line 2 is not valid JSON"),
        ("[]", "line 2 is no object with an `instruction`"),
        ('{"instruction": 3}', "line 2 is no object with an `instruction`"),
        ('{"instruction": "a", "input": 3}', "line 2: `input` should be text"),
        (json.dumps({"instruction": "long " * 500}), "line 2: the prompt has"),
    ],
)
def test_a_line_at_fault_is_named_before_anything_is_asked(line: str, said: str, tmp_path: Path) -> None:
    source, target = tmp_path / "rows.jsonl", tmp_path / "answers.parquet"
    source.write_text(f"{json.dumps(ROWS[0])}\n{line}\n", encoding="utf-8")
    outcome = reprotune("ask", "--file", source, "--out", target)
    assert outcome.exit_code == 1
    assert said in outcome.stderr
    assert not target.exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "give either a question"),
        (["a", "--file", "rows.jsonl", "--out", "x.parquet"], "give either a question"),
        (["--file", "rows.jsonl"], "--file and --out belong together"),
        (["--file", "rows.jsonl", "--out", "x.parquet"], "rows.jsonl is missing"),
        (["long " * 500], "shorten the question"),
        (["a", "--model", "nothing-of-that-name"], "nothing-of-that-name"),
    ],
)
def test_what_cannot_be_asked(words: list[str], said: str) -> None:
    outcome = reprotune("ask", *words)
    assert outcome.exit_code == 1
    assert said in outcome.stderr
    assert outcome.stderr.count("\n") == 1


def test_models_that_are_not_there(tmp_path: Path, project: Path) -> None:
    compute: Compute = pick_compute("fp32")
    (tmp_path / "params.yaml").write_bytes((project / "params.yaml").read_bytes())
    for name in ("base", "finetuned"):
        with pytest.raises(UserError, match="run `dvc repro`"):
            open_model(name, compute, tmp_path)
