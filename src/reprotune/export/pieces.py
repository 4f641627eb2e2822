"""Sentence pieces as GGUF's metadata: the tokenizers of Llama 2, TinyLlama and Mistral 7B, which are not byte-level.

Their tokenizer.json holds byte pairs that were made from sentence pieces: any two pieces that make a third, in the
order of the third one's score. llama.cpp merges by scores, with no list of pairs, so it does the same only where that
holds, which is checked here. It also puts a blank before a text, or does not; what follows a special token is a text of
its own to it.
"""

import re
from typing import Any

import gguf

from reprotune.dataset.tokenizers.document import TOKENIZER, TokenizerFiles
from reprotune.errors import UserError

BLANK = "\u2581"
BYTE = re.compile(r"<0x[0-9A-F]{2}>")
REPLACED = {"type": "Replace", "pattern": {"String": " "}, "content": BLANK}
PREPENDED = {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": BLANK}, REPLACED]}
METASPACE = {"type": "Metaspace", "replacement": BLANK, "split": False}


def is_sentence_pieces(files: TokenizerFiles) -> bool:
    """Tell whether a tokenizer spells what it has no token for as bytes, as those made from sentence pieces do."""
    return bool(files.document["model"].get("byte_fallback"))


def puts_blank_first(files: TokenizerFiles, instead: str) -> bool:
    """Return whether a blank is put before each text, as llama.cpp would have to do.

    Raises `UserError`, which ends with what to do `instead`, for a rule that is not one of llama.cpp's.
    """
    document, begins = files.document, bool(files.beginning_of_text)
    normalizer, cut = document.get("normalizer"), document.get("pre_tokenizer")
    if cut is None and normalizer == PREPENDED:
        return True
    if cut is None and normalizer == REPLACED:
        return False
    if normalizer is None and cut == METASPACE | {"prepend_scheme": "never"}:
        return False
    # Only before what is the very first; where texts begin with a token, that is nothing.
    if normalizer is None and begins and cut == METASPACE | {"prepend_scheme": "first"}:
        return False
    raise UserError(
        f"{files.folder / TOKENIZER} puts blanks before text by a rule that llama.cpp does not have, so a GGUF file "
        f"would read other tokens than were trained: {instead}"
    )


def piece_scores(files: TokenizerFiles, instead: str) -> dict[str, float]:
    """Return the score of each piece that is merged from others, above all the one that is merged first.

    Raises `UserError`, which ends with what to do `instead`, where llama.cpp would merge what the tokenizer does not.
    """
    model = files.document["model"]
    vocabulary: dict[str, int] = model["vocab"]
    merges = [_pair(merge) for merge in model["merges"]]
    scores: dict[str, float] = {}
    for place, (left, right) in enumerate(merges):
        scores.setdefault(left + right, -float(place))
    known = set(merges)
    plain = {piece for piece in vocabulary if piece not in files.control and not BYTE.fullmatch(piece)}
    for piece in plain:
        for place in range(1, len(piece)):
            left, right = piece[:place], piece[place:]
            if left in plain and right in plain and (left, right) not in known:
                raise UserError(
                    f"{files.folder / TOKENIZER} has the tokens {left!r}, {right!r} and {piece!r}, but does not merge "
                    "the first two, which llama.cpp would do, so a GGUF file would read other tokens than were "
                    f"trained: {instead}"
                )
    return scores


def piece_kind(token: str, files: TokenizerFiles) -> gguf.TokenType:
    """Return what kind of token llama.cpp has to take a token of the vocabulary for."""
    if token == files.document["model"].get("unk_token"):
        return gguf.TokenType.UNKNOWN
    return gguf.TokenType.BYTE if BYTE.fullmatch(token) else gguf.TokenType.NORMAL


def _pair(merge: Any) -> tuple[str, str]:
    """Return the two parts of a merge, which older files have as one text with a blank between them."""
    left, right = merge.split(" ") if isinstance(merge, str) else merge
    return left, right
