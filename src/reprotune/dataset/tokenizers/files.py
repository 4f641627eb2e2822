"""The tokenizer's files of a base model: what is missing is made, and what is scattered is put together.

After this, tokenizer.json and tokenizer_config.json of a folder say all that there is to know: the vocabulary, the
tokens that end a text, and the chat template.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from reprotune.artifacts import write_json, write_text
from reprotune.dataset.tokenizers.bpe import added_token, bpe_document, document_text
from reprotune.dataset.tokenizers.document import (
    NAMED_TOKENS,
    TOKENIZER,
    TOKENIZER_CONFIG,
    TokenizerFiles,
    read_document,
    read_object,
    read_tokenizer_files,
    spelling,
)
from reprotune.dataset.tokenizers.gpt2_files import END_OF_TEXT_NAME, merges_of, save_tokenizer_files
from reprotune.dataset.tokenizers.load import is_gpt2, load_tokenizer
from reprotune.errors import UserError
from reprotune.files import read_text

CONFIG = "config.json"
GENERATION_CONFIG = "generation_config.json"
CHAT_TEMPLATE = "chat_template.jinja"
"""Where newer checkpoints keep the chat template."""
VOCABULARY, MERGES = "vocab.json", "merges.txt"

COPIED = (TOKENIZER, "special_tokens_map.json", "added_tokens.json", VOCABULARY, MERGES)
"""What a model that was made from a base takes over from it unchanged, where the base has it."""

REMEDY = "fetch the base model again"


def complete_tokenizer_files(folder: Path) -> None:
    """Make tokenizer.json and tokenizer_config.json of a checkpoint's folder complete.

    Raises `UserError` where they are missing and cannot be made, are no tokenizer that can be used, name no token that
    ends a text, or where the vocabulary is larger than the model's.
    """
    config = read_object(folder / CONFIG)
    gpt2 = config.get("model_type") == "gpt2"
    if gpt2 and not any((folder / name).is_file() for name in (TOKENIZER, VOCABULARY, MERGES)):
        save_tokenizer_files(folder, int(config.get("n_positions", 1024)))
    settings_file = folder / TOKENIZER_CONFIG
    before = read_object(settings_file) if settings_file.is_file() else {}
    settings = gathered_settings(folder)
    if not (folder / TOKENIZER).is_file():
        write_text(folder / TOKENIZER, document_text(_from_vocabulary(folder, settings, gpt2)))
    files = TokenizerFiles(folder, read_document(folder), settings)
    settings |= _ends_elsewhere(folder, config, files)
    if isinstance(context := config.get("n_positions", config.get("max_position_embeddings")), int):
        settings["model_max_length"] = context
    if settings != before:
        write_json(settings_file, settings)
    _check_size(files, config)
    load_tokenizer(folder)


def write_companion_files(base: Path, folder: Path, context_length: int, chat_template: Path) -> None:
    """Give a model in `folder` all that other programs need to talk to it as it was trained.

    That is the tokenizer of the base model that it was made from (GPT-2's as its original files), the chat template of
    its training, and how it is decoded where nothing else is said: greedily, up to a token that ends a text or until
    its context of `context_length` tokens is full.
    """
    files = read_tokenizer_files(base)
    if is_gpt2(files):
        save_tokenizer_files(folder, context_length)
    else:
        for name in COPIED:
            if (base / name).is_file():
                shutil.copyfile(base / name, folder / name)
        # A template of the base model is not what this model was trained on, unless `format` took it over.
        settings = {key: value for key, value in files.settings.items() if key != "chat_template"}
        write_json(folder / TOKENIZER_CONFIG, {**settings, "model_max_length": context_length})
    shutil.copyfile(chat_template, folder / CHAT_TEMPLATE)
    tokenizer = load_tokenizer(base)
    decoding = decoding_settings(tokenizer.end_of_text, tokenizer.beginning_of_text)
    write_json(folder / GENERATION_CONFIG, decoding | {"max_length": context_length})


def decoding_settings(ends: Sequence[int], beginning: int | None) -> dict[str, Any]:
    """Return what a generation_config.json of transformers says of greedy decoding, but for the most tokens."""
    first = {} if beginning is None else {"bos_token_id": beginning}
    return {**first, "do_sample": False, "eos_token_id": list(ends), "pad_token_id": ends[0]}


def gathered_settings(folder: Path) -> dict[str, Any]:
    """Return what tokenizer_config.json of any checkpoint's folder says, with what stands in files beside it.

    Older checkpoints name tokens in special_tokens_map.json, newer ones have the chat template in a file of its own.
    """
    older, settings = (
        read_object(folder / name) if (folder / name).is_file() else {}
        for name in ("special_tokens_map.json", TOKENIZER_CONFIG)
    )
    named = {name: older[name] for name in NAMED_TOKENS if spelling(older.get(name)) is not None}
    template = folder / CHAT_TEMPLATE
    newer = {"chat_template": read_text(template, REMEDY)} if template.is_file() else {}
    return {**named, **settings, **newer}


def _from_vocabulary(folder: Path, settings: dict[str, Any], gpt2: bool) -> dict[str, Any]:
    """Return a tokenizer.json for the vocab.json and merges.txt of a GPT-2."""
    if not gpt2 or not (folder / VOCABULARY).is_file() or not (folder / MERGES).is_file():
        raise UserError(
            f"{folder / TOKENIZER} is missing: save it with "
            "`AutoTokenizer.from_pretrained(...).save_pretrained(folder)` of transformers"
        )
    vocabulary = read_object(folder / VOCABULARY)
    added_file = folder / "added_tokens.json"
    added = read_object(added_file) if added_file.is_file() else {}
    if not all(isinstance(place, int) for place in {**vocabulary, **added}.values()):
        raise UserError(f"{folder / VOCABULARY} does not give each token a number: {REMEDY}")
    names = [spelling(settings.get(name)) for name in NAMED_TOKENS] + [END_OF_TEXT_NAME]
    special = {name: vocabulary[name] for name in names if name in vocabulary} | added
    tokens = sorted(special.items(), key=lambda token: token[1])
    return bpe_document(
        vocabulary,
        merges_of(read_text(folder / MERGES, REMEDY)),
        [added_token(token, place, special=True) for token, place in tokens],
    )


def _ends_elsewhere(folder: Path, config: dict[str, Any], files: TokenizerFiles) -> dict[str, Any]:
    """Return what the model's own files know about the end of a text and tokenizer_config.json does not."""
    generation = read_object(folder / GENERATION_CONFIG) if (folder / GENERATION_CONFIG).is_file() else {}
    ids = dict.fromkeys(
        place
        for document in (config, generation)
        for place in _listed(document.get("eos_token_id"))
        if isinstance(place, int)
    )
    spelled = {place: token for token, place in _vocabulary(files).items()}
    found: dict[str, Any] = {}
    if "eos_token" not in files.named and ids:
        token = spelled.get(next(iter(ids)))
        found |= {"eos_token": token} if token is not None else {}
    named = files.named.get("eos_token") or found.get("eos_token")
    if {spelled.get(place) for place in ids} - {named, None}:
        found["eos_token_id"] = sorted({*ids, *_listed(files.settings.get("eos_token_id"))})
    return found


def _vocabulary(files: TokenizerFiles) -> dict[str, int]:
    vocabulary = files.document["model"].get("vocab")
    added = {token["content"]: token["id"] for token in files.document["added_tokens"]}
    return (vocabulary if isinstance(vocabulary, dict) else {}) | added


def _check_size(files: TokenizerFiles, config: dict[str, Any]) -> None:
    largest, size = max(_vocabulary(files).values(), default=0), config.get("vocab_size")
    if isinstance(size, int) and largest >= size:
        raise UserError(
            f"{files.folder / TOKENIZER} has ids up to {largest}, but {CONFIG} says that the model's vocab_size is "
            f"{size}: the tokenizer belongs to another model"
        )


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]
