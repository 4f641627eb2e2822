"""A tokenizer's files from the metadata of a GGUF file.

GGUF stores vocabulary and merges as they are, but only the name of the rule that cuts text into pre-tokens
(`tokenizer.ggml.pre`). Here is what those names mean for the families that Reprotune trains, as in llama.cpp and in the
families' own tokenizer.json.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reprotune.artifacts import write_json, write_text
from reprotune.dataset.tokenizers.bpe import BYTE_LEVEL, added_token, bpe_document, document_text
from reprotune.dataset.tokenizers.document import TOKENIZER, TOKENIZER_CONFIG
from reprotune.errors import UserError

CONTROL, USER_DEFINED = 3, 4
"""Values of `tokenizer.ggml.token_type`: structure, and words that are never divided."""

INSTEAD = "give the model as safetensors with its tokenizer.json"

CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
WORDS = r"[^\r\n\p{L}\p{N}]?\p{L}+"
OTHERS = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"


def _split(digits: str) -> dict[str, Any]:
    """Pre-tokens by the regular expression that Llama 3 and Qwen share, but for how many digits stay together."""
    pattern = "|".join((CONTRACTIONS, WORDS, digits, OTHERS))
    split = {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}
    return {"type": "Sequence", "pretokenizers": [split, BYTE_LEVEL | {"use_regex": False}]}


@dataclass(frozen=True)
class PreTokens:
    """How a family cuts text before byte pairs are merged."""

    pre_tokenizer: dict[str, Any]
    normalizer: dict[str, Any] | None = None
    whole_words: bool = False
    """Whether a pre-token that is in the vocabulary is never merged step by step."""
    adds_beginning: bool = False
    """Whether texts begin with the beginning-of-text token where the metadata does not say."""


GPT2 = PreTokens(BYTE_LEVEL)
SMOLLM = PreTokens({"type": "Sequence", "pretokenizers": [{"type": "Digits", "individual_digits": True}, BYTE_LEVEL]})
LLAMA3 = PreTokens(_split(r"\p{N}{1,3}"), whole_words=True, adds_beginning=True)
QWEN2 = PreTokens(_split(r"\p{N}"), normalizer={"type": "NFC"})

PRE_TOKENS = {
    "gpt-2": GPT2,
    "smollm": SMOLLM,
    "llama-bpe": LLAMA3,
    "llama3": LLAMA3,
    "llama-v3": LLAMA3,
    "qwen2": QWEN2,
    "deepseek-r1-qwen": QWEN2,
}
"""Names in `tokenizer.ggml.pre`."""


def write_tokenizer_files(metadata: Mapping[str, Any], folder: Path, where: str = "the GGUF file") -> None:
    """Write tokenizer.json and tokenizer_config.json for the metadata of a GGUF file, of which `tokenizer.*` is read.

    Raises `UserError`, naming the file as `where`, for a tokenizer that is not known exactly.
    """
    kind, name = metadata.get("tokenizer.ggml.model"), metadata.get("tokenizer.ggml.pre")
    if kind != "gpt2":
        raise UserError(
            f"{where} has a tokenizer of the type {kind!r} (tokenizer.ggml.model), but Reprotune reads 'gpt2', "
            f"byte-level byte pairs: {INSTEAD}"
        )
    if name not in PRE_TOKENS:
        raise UserError(
            f"{where} cuts text into pre-tokens by the rule {name!r} (tokenizer.ggml.pre), but Reprotune knows "
            f"{', '.join(PRE_TOKENS)}: {INSTEAD}"
        )
    pre_tokens = PRE_TOKENS[name]
    tokens = _checked_tokens(metadata, where)
    kinds = metadata.get("tokenizer.ggml.token_type") or [1] * len(tokens)
    special = {
        key: _token(metadata, f"tokenizer.ggml.{name}_token_id", tokens, where)
        for key, name in (
            ("bos_token", "bos"),
            ("eos_token", "eos"),
            ("unk_token", "unknown"),
            ("pad_token", "padding"),
        )
    }
    adds_beginning = bool(metadata.get("tokenizer.ggml.add_bos_token", pre_tokens.adds_beginning))
    ends_or_begins = (special["bos_token"], special["eos_token"])
    added = [
        added_token(token, place, special=kinds[place] != USER_DEFINED)
        for place, token in enumerate(tokens)
        if kinds[place] in (CONTROL, USER_DEFINED) or token in ends_or_begins
    ]
    document = bpe_document(
        vocabulary={token: place for place, token in enumerate(tokens)},
        merges=metadata["tokenizer.ggml.merges"],
        added=added,
        pre_tokenizer=pre_tokens.pre_tokenizer,
        normalizer=pre_tokens.normalizer,
        beginning=special["bos_token"] if adds_beginning else None,
        whole_words=pre_tokens.whole_words,
    )
    write_text(folder / TOKENIZER, document_text(document))
    settings = {
        **{key: token for key, token in special.items() if token is not None},
        "add_bos_token": adds_beginning,
        "clean_up_tokenization_spaces": False,
        "tokenizer_class": "PreTrainedTokenizerFast",
    }
    ends = [metadata.get(f"tokenizer.ggml.{name}_token_id") for name in ("eos", "eot")]
    if None not in ends and ends[0] != ends[1]:
        settings["eos_token_id"] = ends
    if isinstance(metadata.get("tokenizer.chat_template"), str):
        settings["chat_template"] = metadata["tokenizer.chat_template"]
    write_json(folder / TOKENIZER_CONFIG, settings)


def _checked_tokens(metadata: Mapping[str, Any], where: str) -> list[str]:
    """Return the vocabulary in the order of its ids; raises `UserError` unless the three lists belong together."""
    lists: dict[str, list[Any]] = {}
    for key, kind in (("tokens", str), ("merges", str), ("token_type", int)):
        lists[key] = metadata.get(f"tokenizer.ggml.{key}", [] if key == "token_type" else None)
        if not isinstance(lists[key], list) or not all(isinstance(value, kind) for value in lists[key]):
            raise UserError(f"{where} has no usable tokenizer.ggml.{key}: fetch it again")
    tokens, kinds = lists["tokens"], lists["token_type"]
    if len(set(tokens)) < len(tokens) or (kinds and len(kinds) != len(tokens)):
        raise UserError(f"{where}: its tokens are not one for each id (tokenizer.ggml.tokens): fetch it again")
    return tokens


def _token(metadata: Mapping[str, Any], key: str, tokens: list[str], where: str) -> str | None:
    """Return the token whose id stands under a key, None where there is none."""
    place = metadata.get(key)
    if place is None:
        return None
    if not isinstance(place, int) or not 0 <= place < len(tokens):
        raise UserError(f"{where}: {key} is {place}, but there are {len(tokens)} tokens: fetch it again")
    return tokens[place]
