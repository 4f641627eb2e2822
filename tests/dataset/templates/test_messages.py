"""Chat templates of the trained prompts: transformers writes with them, byte for byte, what the model saw."""

import json
import shutil
from pathlib import Path
from typing import Any

import jinja2
import pytest
from transformers import AutoTokenizer

from reprotune.dataset.templates.formatter import Formatter, load_formatter
from reprotune.dataset.templates.messages import MessageForm
from reprotune.dataset.tokenizers.document import read_tokenizer_files
from reprotune.dataset.tokenizers.files import complete_tokenizer_files, write_companion_files
from reprotune.dataset.tokenizers.load import load_tokenizer

ROOT = Path(__file__).resolve().parents[3]
EMBEDDED = ROOT / "data/embedded/dataset.jsonl"
BRACED = "{# header #}\n[/INST] {{ response }}"
OWN = {
    "plain": "Q: {{ instruction }}\nA: {{ response }}",
    "quoted": '[INST] {{ instruction }}{% if input %} ("{{ input }}"){% endif %}' + BRACED,
    "tags": "<|im_start|>user\n{{ instruction }}{% if input %} {{ input }}{% endif %}<|im_end|>\n{{ response }}",
    "braces": "{{ '{{%}' }} \\ \"quoted\" \tÜ {{ instruction }} {{ '#}' }}\n{{ response }}",
}
STRANGE = {
    "trimmed": "{{ instruction|trim }}\n{{ response }}",
    "title": "{{ instruction|title }}\n{{ response }}",
    "turned round": "{% if input %}{{ input }}\n{% endif %}Q: {{ instruction }}\n{{ response }}",
    "twice": "{{ instruction }} {{ instruction }}\n{{ response }}",
    "long": "{{ instruction }}{% if instruction|length > 1000 %}!{% endif %}\n{{ response }}",
    "input lower": "{{ instruction }}{% if input %} {{ input|lower }}{% endif %}\n{{ response }}",
}


class Trained:
    """A model's folder with its chat template, and what trains it."""

    def __init__(self, base: Path, folder: Path, template: str, header: str = "in_prompt") -> None:
        self.formatter: Formatter = load_formatter(template, read_tokenizer_files(base), header, "all")
        self.form: MessageForm = self.formatter.messages()
        self.header = header
        self.plain = read_tokenizer_files(base).escapes.plain
        self.ours = load_tokenizer(base)
        (folder / "model").mkdir()
        (folder / "trained.jinja").write_text(self.form.source, encoding="utf-8", newline="\n")
        write_companion_files(base, folder / "model", 512, folder / "trained.jinja")
        self.oracle: Any = AutoTokenizer.from_pretrained(folder / "model")

    def prompt(self, *messages: dict[str, str]) -> str:
        return str(self.oracle.apply_chat_template(list(messages), add_generation_prompt=True, tokenize=False))


def user(content: str) -> dict[str, str]:
    return {"role": "user", "content": content}


def assistant(content: str) -> dict[str, str]:
    return {"role": "assistant", "content": content}


def record(**changes: Any) -> dict[str, Any]:
    return {"id": "r1", "instruction": "Add.", "input": "2 + 2", "output": "Four", "category": None} | changes


def own_file(folder: Path, text: str) -> str:
    path = folder / "own.jinja"
    path.write_text(text, encoding="utf-8")
    return str(path)


def embedded_rows() -> list[dict[str, Any]]:
    return [json.loads(line) for line in EMBEDDED.read_text(encoding="utf-8").splitlines()]


def agree_on_every_row(trained: Trained, rows: list[dict[str, Any]]) -> None:
    records = [record(**row, id=str(place)) for place, row in enumerate(rows)]
    assert any(row["input"] for row in records)
    assert any(not row["input"] for row in records)
    for row, formatted in zip(records, trained.formatter.records(records), strict=True):
        content = trained.form.content(row)
        assert trained.prompt(user(content)) == trained.plain(formatted["prompt"])
    whole = trained.oracle.apply_chat_template([user(content), assistant(row["output"])], tokenize=False)
    assert whole.startswith(trained.plain(formatted["prompt"] + formatted["response"]))


@pytest.mark.parametrize("family", ["gpt2", "llama", "qwen"])
@pytest.mark.parametrize("template", ["alpaca", "phi3", "chat"])
def test_every_embedded_row(family: str, template: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    if (family, template) == ("gpt2", "chat"):
        pytest.skip("GPT-2 has no chat template")
    trained = Trained(request.getfixturevalue(f"{family}_folder"), tmp_path, template)
    every = 1 if template == "alpaca" else 7
    agree_on_every_row(trained, embedded_rows()[::every])


@pytest.mark.parametrize("header", ["in_prompt", "in_response"])
def test_every_row_of_the_chapter(header: str, tmp_path: Path, gpt2_folder: Path, shared_data: Path) -> None:
    rows = json.loads((shared_data / "llms-from-scratch/instruction-data.json").read_text(encoding="utf-8"))
    agree_on_every_row(Trained(gpt2_folder, tmp_path, "alpaca", header), rows)


@pytest.mark.parametrize("name", OWN)
def test_templates_of_ones_own(name: str, tmp_path: Path, qwen_folder: Path) -> None:
    trained = Trained(qwen_folder, tmp_path, own_file(tmp_path, OWN[name]))
    assert trained.form.refused is None
    agree_on_every_row(trained, embedded_rows()[:50])


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_ids_and_what_is_learned(family: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    trained = Trained(request.getfixturevalue(f"{family}_folder"), tmp_path, "alpaca")
    row = trained.formatter.records([record()])[0]
    [encoded] = trained.ours.encode_rows([(row["prompt"], row["response"])])
    messages = [user(trained.form.content(record())), assistant("Four")]
    found = trained.oracle.apply_chat_template(messages, return_dict=True, return_assistant_tokens_mask=True)
    assert found["input_ids"] == [*encoded.prompt_ids, *encoded.response_ids, trained.ours.end_of_text[0]]
    learned = [token for token, counts in zip(found["input_ids"], found["assistant_masks"], strict=True) if counts]
    assert learned == [*encoded.response_ids, trained.ours.end_of_text[0]]


@pytest.mark.parametrize("family", ["gpt2", "llama"])
@pytest.mark.parametrize("header", ["in_prompt", "in_response"])
def test_several_turns(family: str, header: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    trained = Trained(request.getfixturevalue(f"{family}_folder"), tmp_path, "alpaca", header)
    ends, beginning = trained.oracle.eos_token, trained.ours.beginning_of_text
    first = trained.prompt(user("Add.")) + ("\n\n### Response:\n" if header == "in_response" else "")
    begins = "" if beginning is None else trained.ours.decode([beginning])
    second = trained.prompt(user("Add."), assistant("Four"), user("Subtract."))
    assert second == f"{first}Four{ends}{trained.prompt(user('Subtract.')).removeprefix(begins)}"
    turns = [user("Add."), assistant("Four"), user("Subtract."), assistant("No")]
    found = trained.oracle.apply_chat_template(turns, return_dict=True, return_assistant_tokens_mask=True)
    learned = [token for token, counts in zip(found["input_ids"], found["assistant_masks"], strict=True) if counts]
    learned_header = "\n\n### Response:\n" if header == "in_response" else ""
    assert trained.ours.decode(learned) == f"{learned_header}Four{ends}{learned_header}No{ends}"
    begun = trained.oracle.apply_chat_template(turns, continue_final_message=True, tokenize=False)
    assert begun == f"{second}{learned_header}No"


def test_another_role_is_refused(tmp_path: Path, gpt2_folder: Path) -> None:
    trained = Trained(gpt2_folder, tmp_path, "alpaca")
    with pytest.raises(jinja2.TemplateError, match="trained on instructions and answers alone"):
        trained.prompt({"role": "system", "content": "Be brief."}, user("Add."))


@pytest.mark.parametrize("name", STRANGE)
def test_what_no_message_becomes_says_so(name: str, tmp_path: Path, gpt2_folder: Path) -> None:
    trained = Trained(gpt2_folder, tmp_path, own_file(tmp_path, STRANGE[name]))
    assert trained.form.refused is not None
    assert "own.jinja writes more of an instruction than" in trained.form.refused
    with pytest.raises(jinja2.TemplateError, match="no message becomes its prompt: send the whole prompt"):
        trained.prompt(user("Add."))


def test_a_row_that_is_written_otherwise_is_found(tmp_path: Path, gpt2_folder: Path) -> None:
    text = "{{ instruction }}{% if category == 'sum' %} (a sum){% endif %}\n{{ response }}"
    trained = Trained(gpt2_folder, tmp_path, own_file(tmp_path, text))
    records = [record(), record(id="r2", category="sum")]
    prompts = [row["prompt"] for row in trained.formatter.records(records)]
    assert trained.form.unlike(records[:1], prompts[:1]) is None
    assert trained.form.unlike(records, prompts) == "r2"


def test_a_tuned_model_can_be_a_base_with_its_own_template(tmp_path: Path, gpt2_folder: Path) -> None:
    trained = Trained(gpt2_folder, tmp_path, "alpaca")
    shutil.copyfile(gpt2_folder / "config.json", tmp_path / "model/config.json")
    complete_tokenizer_files(tmp_path / "model")
    again = load_formatter("chat", read_tokenizer_files(tmp_path / "model"), "in_prompt", "all")
    asked = record(input="")
    [ours], [first] = again.records([asked]), trained.formatter.records([asked])
    assert (ours["prompt"], ours["response"]) == (first["prompt"], f"{first['response']}<|endoftext|>")
