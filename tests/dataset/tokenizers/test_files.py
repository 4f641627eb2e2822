"""The tokenizer's files of a base: what is made, what is taken over, and what is refused."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer, GenerationConfig

from reprotune.dataset.tokenizers.document import read_tokenizer_files
from reprotune.dataset.tokenizers.files import complete_tokenizer_files, write_companion_files
from reprotune.dataset.tokenizers.gpt2 import GPT2Tokenizer
from reprotune.dataset.tokenizers.gpt2_files import save_tokenizer_files
from reprotune.dataset.tokenizers.load import load_tokenizer
from reprotune.errors import UserError
from tests.builders.tokenizers import CHATML_TEMPLATE


def write(path: Path, **values: Any) -> None:
    path.write_text(json.dumps(values), encoding="utf-8")


@pytest.fixture
def qwen(qwen_folder: Path, tmp_path: Path) -> Path:
    """A copy of the miniature's folder with a config.json."""
    folder = tmp_path / "base"
    shutil.copytree(qwen_folder, folder)
    write(folder / "config.json", model_type="qwen2", vocab_size=1000)
    return folder


def edit(path: Path, **changes: Any) -> None:
    document = json.loads(path.read_text(encoding="utf-8")) | changes
    write(path, **{key: value for key, value in document.items() if value is not None})


def test_gpt2s_tokenizer_is_made_from_its_files(tmp_path: Path) -> None:
    write(tmp_path / "config.json", model_type="gpt2", n_positions=512, vocab_size=50257)
    save_tokenizer_files(tmp_path, 512)
    before = (tmp_path / "tokenizer_config.json").read_bytes()
    complete_tokenizer_files(tmp_path)
    assert (tmp_path / "tokenizer_config.json").read_bytes() == before
    assert isinstance(load_tokenizer(tmp_path), GPT2Tokenizer)


def test_a_gpt2_with_further_tokens_is_not_gpt2s_own(tmp_path: Path) -> None:
    write(tmp_path / "config.json", model_type="gpt2", vocab_size=50258)
    save_tokenizer_files(tmp_path)
    write(tmp_path / "added_tokens.json", **{"<|chat|>": 50257})
    complete_tokenizer_files(tmp_path)
    tokenizer = load_tokenizer(tmp_path)
    assert tokenizer.encode_formatted(["<|chat|>Hello world"]) == [[50257, 15496, 995]]
    assert len(tokenizer.encode_batch(["<|chat|>"])[0]) > 1


def test_what_the_models_own_files_know_is_taken_over(qwen: Path) -> None:
    edit(qwen / "tokenizer_config.json", eos_token=None, chat_template=None)
    ends = read_tokenizer_files(qwen).control
    edit(qwen / "config.json", eos_token_id=ends["<|im_end|>"])
    write(qwen / "generation_config.json", eos_token_id=[ends["<|im_end|>"], ends["<|endoftext|>"]])
    (qwen / "chat_template.jinja").write_text("a template")
    complete_tokenizer_files(qwen)
    assert load_tokenizer(qwen).end_of_text == (ends["<|im_end|>"], ends["<|endoftext|>"])
    assert read_tokenizer_files(qwen).chat_template == "a template"


def test_a_model_takes_its_bases_tokenizer_over(qwen: Path, gpt2_folder: Path, tmp_path: Path) -> None:
    trained = tmp_path / "trained.jinja"
    trained.write_text("the trained template")
    (tmp_path / "model").mkdir()
    write_companion_files(qwen, tmp_path / "model", 64, trained)
    assert (tmp_path / "model/tokenizer.json").read_bytes() == (qwen / "tokenizer.json").read_bytes()
    model, base = AutoTokenizer.from_pretrained(tmp_path / "model"), AutoTokenizer.from_pretrained(qwen)
    assert base.chat_template == CHATML_TEMPLATE
    assert (model.chat_template, model.model_max_length) == ("the trained template", 64)
    ends = load_tokenizer(qwen).end_of_text
    decoding = GenerationConfig.from_pretrained(tmp_path / "model")
    assert (decoding.eos_token_id, decoding.do_sample, decoding.max_length) == (list(ends), False, 64)
    (tmp_path / "gpt2").mkdir()
    write_companion_files(gpt2_folder, tmp_path / "gpt2", 64, trained)
    assert {path.name for path in (tmp_path / "gpt2").iterdir()} == {
        "vocab.json",
        "merges.txt",
        "tokenizer_config.json",
        "chat_template.jinja",
        "generation_config.json",
    }


def test_the_longest_text_is_the_models_own(tmp_path: Path) -> None:
    write(tmp_path / "config.json", model_type="gpt2", n_positions=512, vocab_size=50257)
    save_tokenizer_files(tmp_path, 1024)
    complete_tokenizer_files(tmp_path)
    assert AutoTokenizer.from_pretrained(tmp_path).model_max_length == 512


def no_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()


def larger_vocabulary(folder: Path) -> None:
    edit(folder / "config.json", vocab_size=400)


def no_end(folder: Path) -> None:
    edit(folder / "tokenizer_config.json", eos_token=None)


def strange_end(folder: Path) -> None:
    edit(folder / "tokenizer_config.json", **{"eos_token": "</s>"})


def other_model(folder: Path) -> None:
    edit(folder / "tokenizer.json", model={"type": "Unigram", "unk_id": 0, "vocab": [["a", 0.0]]})


def damaged(folder: Path) -> None:
    (folder / "tokenizer.json").write_text('{"model": ')


def a_list(folder: Path) -> None:
    (folder / "tokenizer.json").write_text("[]")


def no_tokens(folder: Path) -> None:
    edit(folder / "tokenizer.json", added_tokens=[{"content": 1}])


def no_object(folder: Path) -> None:
    edit(folder / "tokenizer.json", model={"type": "BPE", "vocab": 1, "merges": 2})


def contradiction(folder: Path) -> None:
    document = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    document["added_tokens"][0]["id"] += 1
    write(folder / "tokenizer.json", **document)


FAULTS = {
    no_tokenizer: r"tokenizer.json is missing: save it with `AutoTokenizer",
    larger_vocabulary: r"has ids up to \d+, but config.json says that the model's vocab_size is 400",
    no_end: r"tokenizer_config.json names no eos_token, so nothing would end an answer",
    strange_end: r"eos_token is '</s>', but tokenizer.json has no such token",
    other_model: r"tokenizer.json is a tokenizer of the type 'Unigram', but Reprotune reads 'BPE'",
    damaged: r"tokenizer.json is not valid JSON",
    a_list: r"tokenizer.json is not a JSON object",
    no_tokens: r"tokenizer.json is not a file of the library tokenizers",
    no_object: r"tokenizer.json is not a file of the library tokenizers",
    contradiction: r"tokenizer.json: the special token '<\|endoftext\|>' has the id \d+",
}


@pytest.mark.parametrize(("damage", "sentence"), FAULTS.items(), ids=lambda value: getattr(value, "__name__", ""))
def test_a_faulty_tokenizer_is_one_sentence(qwen: Path, damage: Any, sentence: str) -> None:
    damage(qwen)
    with pytest.raises(UserError, match=sentence) as refusal:
        complete_tokenizer_files(qwen)
    assert "\n" not in str(refusal.value)
