"""Tokenizer files from GGUF metadata, against transformers' and llama.cpp's reading of the same file."""

import json
import random
import unicodedata
from pathlib import Path
from typing import Any

import pytest
import requests
from tokenizers import pre_tokenizers
from transformers import AutoTokenizer

from reprotune.dataset.tokenizers.gguf import write_tokenizer_files
from reprotune.dataset.tokenizers.load import load_tokenizer
from reprotune.errors import UserError
from tests.builders.llama_cpp import needs_llama_cpp, serving
from tests.builders.tokenizers import llama_metadata, qwen_metadata

STRINGS = 10_000


def unicode_strings(count: int) -> list[str]:
    """Random strings of every plane of Unicode, mixed with what tokenizers treat in a way of its own."""
    draw = random.Random(12)
    blocks = [(0x20, 0x7F), (0xA0, 0x250), (0x370, 0x600), (0x900, 0xE00), (0x2000, 0x2C00), (0x3040, 0xA000)]
    blocks.append((0x1F300, 0x1FB00))
    common = [
        "\n",
        "\n\n",
        " ",
        "  ",
        "\t",
        "\r\n",
        "'s",
        "don't",
        "The",
        " the",
        "123",
        " 7",
        "...",
        "\u00a0",
        "\u200d",
    ]
    strings = []
    for _ in range(count):
        pieces = []
        for _ in range(draw.randrange(1, 12)):
            if draw.random() < 0.4:
                pieces.append(draw.choice(common))
            elif draw.random() < 0.1:
                pieces.append(chr(draw.choice([draw.randrange(0x20, 0xD800), draw.randrange(0xE000, 0x110000)])))
            else:
                pieces.append(chr(draw.randrange(*draw.choice(blocks))))
        strings.append("".join(pieces))
    return strings


@pytest.fixture(scope="module")
def oracle(smollm_file: Path) -> Any:
    """Transformers' reading of the file."""
    return AutoTokenizer.from_pretrained(smollm_file.parent, gguf_file=smollm_file.name)


def test_the_chapters_dataset_has_transformers_ids(oracle: Any, smollm_folder: Path, shared_data: Path) -> None:
    rows = json.loads((shared_data / "llms-from-scratch/instruction-data.json").read_text(encoding="utf-8"))
    texts = [row[name] for row in rows for name in ("instruction", "input", "output")]
    assert load_tokenizer(smollm_folder).encode_batch(texts) == oracle(texts)["input_ids"]


@pytest.mark.slow
def test_random_unicode_has_transformers_ids(oracle: Any, smollm_folder: Path) -> None:
    """Transformers overlooks that SmolLM keeps digits apart (`pre: smollm`), and differs where there are numbers.

    With that rule it gives the same ids for every string, and so does llama.cpp (below).
    """
    strings = unicode_strings(STRINGS)
    ids = load_tokenizer(smollm_folder).encode_batch(strings)
    differing = [
        text for text, ours, theirs in zip(strings, ids, oracle(strings)["input_ids"], strict=True) if ours != theirs
    ]
    assert differing and all(any(character.isnumeric() for character in text) for text in differing)
    assert len(differing) < STRINGS // 20
    digits, byte_level = pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)
    oracle.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence([digits, byte_level])
    assert ids == oracle(strings)["input_ids"]


@pytest.mark.slow
@needs_llama_cpp
def test_random_unicode_has_llama_cpps_ids(smollm_file: Path, smollm_folder: Path, tmp_path: Path) -> None:
    """Of assigned characters: llama.cpp's table of the others is another one."""
    strings = [text for text in unicode_strings(3000) if "Cn" not in map(unicodedata.category, text)]
    expected = []
    with serving(smollm_file, tmp_path / "log.txt") as address, requests.Session() as session:
        for text in strings:
            body = {"content": text, "add_special": False, "parse_special": False}
            expected.append(session.post(f"{address}/tokenize", json=body, timeout=60).json()["tokens"])
    assert len(strings) > 1000
    assert load_tokenizer(smollm_folder).encode_batch(strings) == expected


@pytest.mark.parametrize("metadata", [llama_metadata(), qwen_metadata()], ids=["llama", "qwen"])
def test_miniatures_have_the_settings_of_their_files(metadata: dict[str, Any], tmp_path: Path) -> None:
    write_tokenizer_files(metadata, tmp_path)
    settings = json.loads((tmp_path / "tokenizer_config.json").read_text())
    tokens = metadata["tokenizer.ggml.tokens"]
    assert settings["eos_token"] == tokens[metadata["tokenizer.ggml.eos_token_id"]]
    assert settings["chat_template"] == metadata["tokenizer.chat_template"]
    assert load_tokenizer(tmp_path).vocabulary_size == len(tokens)
    first = (tmp_path / "tokenizer.json").read_bytes()
    write_tokenizer_files(metadata, tmp_path)
    assert (tmp_path / "tokenizer.json").read_bytes() == first


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"model": "llama"}, "x.gguf has a tokenizer of the type 'llama'"),
        ({"model": None}, "has a tokenizer of the type None"),
        ({"pre": "tekken"}, "by the rule 'tekken' .*knows gpt-2, smollm, llama-bpe"),
        ({"pre": None}, "by the rule None"),
        ({"tokens": None}, "no usable tokenizer.ggml.tokens: fetch it again"),
        ({"tokens": ["a", "a"]}, "not one for each id"),
        ({"merges": [1]}, "no usable tokenizer.ggml.merges"),
        ({"token_type": [1]}, "not one for each id"),
        ({"eos_token_id": 10**6}, "eos_token_id is 1000000, but there are"),
        ({"merges": ["Ġt nothing"]}, "is nothing that the library tokenizers reads .*nothing"),
    ],
)
def test_what_is_not_known_exactly_is_refused_by_name(changes: dict[str, Any], sentence: str, tmp_path: Path) -> None:
    metadata = qwen_metadata() | {f"tokenizer.ggml.{key}": value for key, value in changes.items()}
    with pytest.raises(UserError, match=sentence) as refusal:
        write_tokenizer_files(metadata, tmp_path, "x.gguf")
        load_tokenizer(tmp_path)
    assert "\n" not in str(refusal.value)
