"""Templates: the two built-in ones to the letter, templates of one's own, and text that tries to be one."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reprotune.dataset.templates.instructions import count_markers, load_template
from reprotune.errors import UserError

PREAMBLE = "Below is an instruction that describes a task. Write a response that appropriately completes the request."


def record(**changes: Any) -> dict[str, Any]:
    return {"id": "r1", "instruction": "Add.", "input": "", "output": "Four", "category": None} | changes


def test_alpaca_to_the_letter() -> None:
    alpaca = load_template("alpaca")
    assert alpaca.format(record(), "in_prompt") == {
        "id": "r1",
        "prompt": f"{PREAMBLE}\n\n### Instruction:\nAdd.\n\n### Response:\n",
        "response": "Four",
        "header": "",
    }
    assert alpaca.format(record(input="2 + 2"), "in_response") == {
        "id": "r1",
        "prompt": f"{PREAMBLE}\n\n### Instruction:\nAdd.\n\n### Input:\n2 + 2",
        "response": "\n\n### Response:\nFour",
        "header": "\n\n### Response:\n",
    }


def test_phi3_to_the_letter() -> None:
    phi3 = load_template("phi3")
    assert phi3.format(record(input="2 + 2"), "in_prompt")["prompt"] == "<|user|>\nAdd.\n2 + 2\n<|assistant|>:\n"
    formatted = phi3.format(record(), "in_response")
    assert formatted["prompt"] == "<|user|>\nAdd."
    assert formatted["response"] == "\n<|assistant|>:\nFour"


@pytest.mark.parametrize("response_header", ["in_prompt", "in_response"])
def test_the_training_text_of_real_rows_is_the_chapters(shared_data: Path, response_header: str) -> None:
    rows = json.loads((shared_data / "llms-from-scratch/instruction-data.json").read_text(encoding="utf-8"))
    alpaca = load_template("alpaca")
    for row in rows:
        extra = f"\n\n### Input:\n{row['input']}" if row["input"] else ""
        expected = f"{PREAMBLE}\n\n### Instruction:\n{row['instruction']}{extra}\n\n### Response:\n{row['output']}"
        formatted = alpaca.format(record(**row), response_header)
        assert formatted["prompt"] + formatted["response"] == expected
        assert formatted["response"].removeprefix(formatted["header"]) == row["output"]


ANY_TEXT = st.one_of(
    st.text(), st.sampled_from(["{{ output }}", "{% for x in y %}", "{# header #}", "{{ response }}", "</s><b>&amp;"])
)


@given(instruction=ANY_TEXT.filter(bool), extra=ANY_TEXT, output=ANY_TEXT)
def test_a_records_text_stays_text(instruction: str, extra: str, output: str) -> None:
    formatted = load_template("phi3").format(record(instruction=instruction, input=extra, output=output), "in_prompt")
    assert formatted["prompt"] == f"<|user|>\n{instruction}" + (f"\n{extra}" if extra else "") + "\n<|assistant|>:\n"
    assert formatted["response"] == output


def own(folder: Path, text: str) -> str:
    path = folder / "own.jinja"
    path.write_bytes(text.encode("utf-8"))
    return str(path)


def test_a_template_of_ones_own(tmp_path: Path) -> None:
    text = (
        "[{{ category }}] {{ instruction }}\n{% if input %}({{ input }})\n{% endif %}{# header #}\nA: {{ response }}\n"
    )
    template = load_template(own(tmp_path, text))
    assert template.format(record(category="sum", input="x"), "in_prompt")["prompt"] == "[sum] Add.\n(x)\n\nA: "
    assert template.format(record(), "in_response") == {
        "id": "r1",
        "prompt": "[] Add.\n",
        "response": "\nA: Four",
        "header": "\nA: ",
    }
    assert "A:" in template.markers


def test_a_template_without_a_header_and_with_windows_line_breaks(tmp_path: Path) -> None:
    template = load_template(own(tmp_path, "\ufeff{{ instruction }}\r\n=> {{ response }}\r\n"))
    assert template.header == ""
    assert template.format(record(), "in_response")["prompt"] == "Add.\n=> "
    template = load_template(own(tmp_path, "{{ instruction }}{# header #}\r\n{{ response }}"))
    assert template.header == "\n"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{{ instruction }}\n{{ question }}{{ response }}", "line 2: unknown field 'question'; there are instruction"),
        ("{{ instruction }}\n\n{% if %}{{ response }}", "line 3: Expected an expression"),
        ("{% if input %}{{ instruction }}{{ response }}", "line 1: Unexpected end of template"),
        ("{{ instruction }}\n{{ input|shout }}{{ response }}", "line 2: No filter named 'shout'"),
        ("{{ instruction }}{{ category|random }}{{ response }}", "line 1: No filter named 'random'"),
        ("{{ instruction }}{{ lipsum() }}{{ response }}", "line 1: unknown field 'lipsum'"),
        ("\n{{ instruction.title.x }}{{ response }}", "line 2: .* has no attribute 'x'"),
        ("{{ instruction }}\n{% if input %}{{ 1 / 0 }}{% endif %}{{ response }}", "line 2: division by zero"),
        ("{{ instruction.__class__.__mro__ }}{{ response }}", "line 1: .*unsafe"),
        ("{{ instruction }}{% include 'secret' %}{{ response }}", "line 1: "),
        ("{{ instruction }}\n", r"line 2: a template ends with \{\{ response \}\}"),
        ("{{ response }}\n{{ instruction }}\n{{ response }}", "line 1: .* only once"),
        ("{{ instruction }}\n{# header #}{{ input }}{{ response }}", "line 2: only plain text"),
        ("Say something: {{ response }}", "does not use {{ instruction }}"),
    ],
)
def test_a_faulty_template_is_refused_with_file_and_line(tmp_path: Path, text: str, sentence: str) -> None:
    name = own(tmp_path, text)
    with pytest.raises(UserError, match=sentence) as refusal:
        load_template(name)
    assert str(refusal.value).startswith(f"{name}: ")


def test_a_template_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"'alpacca' is neither alpaca, phi3, chat nor a path that ends in \.jinja"):
        load_template("alpacca")
    with pytest.raises(UserError, match=r"missing\.jinja is missing: correct the path"):
        load_template(str(tmp_path / "missing.jinja"))
    (tmp_path / "latin.jinja").write_bytes(b"\xe9{{ instruction }}{{ response }}")
    with pytest.raises(UserError, match="is not UTF-8 text"):
        load_template(str(tmp_path / "latin.jinja"))


def test_a_template_that_fails_on_one_record_names_it(tmp_path: Path) -> None:
    template = load_template(own(tmp_path, "{{ 6 / (instruction|length) }}{{ instruction }}{{ response }}"))
    with pytest.raises(UserError, match="fails on record r1: division by zero"):
        template.format(record(instruction=""), "in_prompt")


def test_markers_in_a_records_own_text_are_counted_by_record() -> None:
    records = [
        record(output="### Response: yes\n### Response: no"),
        record(instruction="What is <|user|>?", input="### Response:"),
        record(),
    ]
    markers = load_template("alpaca").markers
    found = {marker: count for marker, count in count_markers(records, markers).items() if count}
    assert found == {"### Response:": 2, "<|user|>": 1}
    assert set(markers) >= {"### Instruction:", "### Input:", "<|assistant|>"}
