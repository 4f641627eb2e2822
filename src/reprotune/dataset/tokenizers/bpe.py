"""The text of a tokenizer.json for byte-level byte pairs, as the library tokenizers reads it."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
"""GPT-2's pre-tokens, and its characters for bytes."""


def bpe_document(
    vocabulary: Mapping[str, int],
    merges: Sequence[str],
    added: Sequence[Mapping[str, Any]],
    pre_tokenizer: Mapping[str, Any] = BYTE_LEVEL,
    normalizer: Mapping[str, Any] | None = None,
    beginning: str | None = None,
    whole_words: bool = False,
) -> dict[str, Any]:
    """Return a tokenizer.json; `merges` are pairs like `Ġ t`, the first one is applied first.

    `beginning` is the token before every text, None for none; with `whole_words` a pre-token in the vocabulary is not
    merged step by step.
    """
    text = [{"Sequence": {"id": "A", "type_id": 0}}]
    first = [] if beginning is None else [{"SpecialToken": {"id": beginning, "type_id": 0}}]
    special = {} if beginning is None else {beginning: _template_token(beginning, vocabulary[beginning])}
    processor = {
        "type": "TemplateProcessing",
        "single": [*first, *text],
        "pair": [*first, *text, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": special,
    }
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": list(added),
        "normalizer": normalizer,
        "pre_tokenizer": pre_tokenizer,
        "post_processor": processor,
        "decoder": BYTE_LEVEL,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": whole_words,
            "vocab": dict(vocabulary),
            "merges": list(merges),
        },
    }


def added_token(content: str, place: int, special: bool) -> dict[str, Any]:
    """Return an entry of `added_tokens`: a token that is found in text before all others, exactly as it is spelled."""
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    return {"id": place, "content": content, **flags, "special": special}


def document_text(document: Mapping[str, Any]) -> str:
    """Return the text of a tokenizer.json, the same for the same document."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")) + "\n"


def _template_token(token: str, place: int) -> dict[str, Any]:
    return {"id": token, "ids": [place], "tokens": [token]}
