"""Tokenizers as GGUF's metadata: they come back as they went, and one without a name in llama.cpp is refused."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import gguf
import pytest

from reprotune.dataset.tokenizers.document import read_tokenizer_files
from reprotune.dataset.tokenizers.gguf import write_tokenizer_files
from reprotune.dataset.tokenizers.load import load_tokenizer
from reprotune.errors import UserError
from reprotune.export.vocabulary import pre_tokens_name
from tests.builders.tokenizers import TEXTS
from tests.export.conftest import QUESTIONS, Ready
from tests.export.test_weights import written


@pytest.mark.parametrize(("family", "name"), [("gpt2", "gpt-2"), ("llama", "llama-bpe"), ("qwen", "qwen2")])
def test_the_rule_that_cuts_text(family: str, name: str, request: pytest.FixtureRequest) -> None:
    assert pre_tokens_name(read_tokenizer_files(request.getfixturevalue(f"{family}_folder"))) == name


@pytest.mark.parametrize("kind", ["gpt2", "llama", "qwen2"])
def test_a_tokenizer_comes_back(kind: str, prepared: Callable[..., Ready], tmp_path: Path) -> None:
    ready = prepared(kind, trained=False)
    fields = gguf.GGUFReader(written(ready, tmp_path / "model.gguf")).fields
    metadata = {name: field.contents() for name, field in fields.items()}
    write_tokenizer_files(metadata, tmp_path)
    again, before = load_tokenizer(tmp_path), ready.exported.tokenizer
    texts = [*TEXTS, *(part for question in QUESTIONS for part in question)]
    assert again.encode_batch(texts) == before.encode_batch(texts)
    assert (again.end_of_text, again.beginning_of_text) == (before.end_of_text, before.beginning_of_text)
    assert again.escapes.spellings == before.escapes.spellings
    assert read_tokenizer_files(tmp_path).chat_template == ready.exported.form.source
    assert metadata["tokenizer.ggml.tokens"][-1] == f"[PAD{ready.exported.model.config.vocab_size - 1}]"
    assert metadata["tokenizer.ggml.add_bos_token"] == (before.beginning_of_text is not None)


def test_a_rule_without_a_name_is_refused(tmp_path: Path, qwen_folder: Path) -> None:
    shutil.copytree(qwen_folder, tmp_path / "base")
    file = tmp_path / "base/tokenizer.json"
    document = json.loads(file.read_text(encoding="utf-8"))
    document["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = r"\p{L}+"
    file.write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(UserError, match="cuts text by a rule that Reprotune knows no name"):
        pre_tokens_name(read_tokenizer_files(tmp_path / "base"))
