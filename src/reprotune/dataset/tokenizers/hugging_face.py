"""Byte-pair tokenizers of a tokenizer.json, by the library tokenizers.

That library finds special tokens wherever they are spelled. So it is given the tokenizer with these tokens under other
names, which hold a private-use character that the texts at hand do not: a row that spells `<|im_end|>` is text then,
and a template's token is handed over under its new name. Everything else, blanks that a token takes from its
neighbours too, is the library's own doing.
"""

import json
from collections.abc import Iterable, Sequence
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import tokenizers

from reprotune.dataset.tokenizers.bpe import added_token
from reprotune.dataset.tokenizers.document import TOKENIZER, TOKENIZER_CONFIG, TokenizerFiles
from reprotune.dataset.tokenizers.encoding import EncodedRow, Ids, Row, joined_prompt
from reprotune.dataset.tokenizers.escapes import ESCAPE, Part
from reprotune.errors import UserError

PRIVATE_USE = range(ord(ESCAPE), 0xF8FF)
"""Characters that may mark the names of special tokens; the first one that a text does not hold is used."""
TEXTS_PER_CALL = 1024
"""The library's results take far more memory than the ids in them."""


class HuggingFaceTokenizer:
    """A tokenizer.json as a `Tokenizer`; raises `UserError` unless it is one of byte pairs, without contradictions."""

    def __init__(self, files: TokenizerFiles) -> None:
        self.escapes = files.escapes
        self._files = files
        self._renamed = lru_cache(maxsize=4)(self._with_names_of)
        model = files.document["model"]
        kind = model.get("type", "BPE" if "merges" in model else None)  # the first files had no type
        if kind != "BPE":
            raise UserError(
                f"{files.folder / TOKENIZER} is a tokenizer of the type {kind!r}, but Reprotune reads 'BPE', byte "
                "pairs: choose another base model"
            )
        first = self._renamed(ESCAPE)
        self.vocabulary_size = max(first.get_vocab().values()) + 1
        for token, place in files.control.items():
            if first.token_to_id(_name(token, ESCAPE)) != place:
                raise UserError(
                    f"{files.folder / TOKENIZER}: the special token {token!r} has the id {place} there, but another "
                    "by its place: fetch the file again"
                )
        self.end_of_text = _ends(files, self.vocabulary_size)
        self.beginning_of_text = files.control.get(files.beginning_of_text)

    def encode_batch(self, texts: Sequence[str]) -> list[Ids]:
        """See `Tokenizer`."""
        return [encoding.ids for encoding in self._encode([[Part(text, False)] for text in texts])]

    def encode_formatted(self, texts: Sequence[str]) -> list[Ids]:
        """See `Tokenizer`."""
        return [encoding.ids for encoding in self._encode([self.escapes.parts(text) for text in texts])]

    def encode_rows(self, rows: Sequence[Row]) -> list[EncodedRow]:
        """See `Tokenizer`: the response's ids follow the prompt's in those of the whole, unless the two would merge."""
        encoded = []
        for start in range(0, len(rows), TEXTS_PER_CALL):
            some = rows[start : start + TEXTS_PER_CALL]
            prompts = [self.escapes.parts(joined_prompt(row)) for row in some]
            wholes = [self.escapes.parts(joined_prompt(row) + row[-1]) for row in some]
            for row, prompt, whole in zip(some, self._encode(prompts), self._encode(wholes), strict=True):
                ids: Ids = prompt.ids
                agrees = whole.ids[: len(ids)] == ids
                response_ids = whole.ids[len(ids) :] if agrees else self.encode_formatted([row[-1]])[0]
                encoded.append(EncodedRow(ids, response_ids, self._segments(prompt, row), agrees))
        return encoded

    def decode(self, ids: Sequence[int]) -> str:
        """See `Tokenizer`."""
        return str(self._original.decode(list(ids), skip_special_tokens=False))

    def _encode(self, texts: list[list[Part]]) -> list[tokenizers.Encoding]:
        mark = _unused(part.text for parts in texts for part in parts if not part.special)
        named = ["".join(_name(text, mark) if special else text for text, special in parts) for parts in texts]
        return list(self._renamed(mark).encode_batch(named, add_special_tokens=False))

    def _segments(self, prompt: tokenizers.Encoding, row: Row) -> np.ndarray:
        """Return in which segment of the prompt each of its tokens starts."""
        if len(row) == 2:
            return np.zeros(len(prompt.ids), dtype=np.int64)
        ends = []
        for count in range(1, len(row)):
            parts = self.escapes.parts("".join(row[:count]))
            ends.append(sum(len(_name(text, ESCAPE) if special else text) for text, special in parts))
        return np.searchsorted(ends, [start for start, _ in prompt.offsets], side="right")

    @cached_property
    def _original(self) -> tokenizers.Tokenizer:
        return _built(self._files.document, self._files)

    def _with_names_of(self, mark: str) -> tokenizers.Tokenizer:
        """Return the tokenizer with its special tokens under names that hold `mark`, and adding none of its own."""
        document, control = self._files.document, self._files.control
        added = {token["content"]: token for token in document["added_tokens"]}
        blanks = {
            token: {side: added.get(token, {}).get(side, False) for side in ("lstrip", "rstrip")} for token in control
        }
        named = [
            added_token(_name(token, mark), place, special=True) | blanks[token] for token, place in control.items()
        ]
        others = [token for content, token in added.items() if content not in control]
        model = dict(document["model"])
        model["vocab"] = {
            _name(token, mark) if token in control else token: place for token, place in model["vocab"].items()
        }
        if model.get("unk_token") in control:
            model["unk_token"] = _name(model["unk_token"], mark)
        changed = {"added_tokens": sorted([*named, *others], key=lambda token: token["id"]), "model": model}
        without = dict.fromkeys(("truncation", "padding", "post_processor"))
        return _built(document | changed | without, self._files)


def _built(document: dict[str, Any], files: TokenizerFiles) -> tokenizers.Tokenizer:
    try:
        return tokenizers.Tokenizer.from_str(json.dumps(document))
    except Exception as error:  # the library raises nothing narrower
        raise UserError(
            f"{files.folder / TOKENIZER} is nothing that the library tokenizers reads ({error}): fetch it again"
        ) from error


def _name(token: str, mark: str) -> str:
    return f"{mark}{token}{mark}"


def _unused(texts: Iterable[str]) -> str:
    """Return a private-use character that occurs in none of the texts."""
    used: set[str] = set()
    for text in texts:
        if not text.isascii():
            used |= {character for character in text if "\ue000" <= character <= "\uf8ff"}
    for mark in PRIVATE_USE:
        if chr(mark) not in used:
            return chr(mark)
    raise UserError(
        "a few rows use every private-use character of Unicode (U+E01B to U+F8FE), which no text does: drop them"
    )


def _ends(files: TokenizerFiles, vocabulary_size: int) -> tuple[int, ...]:
    """Return the ids of `eos_token` and of `eos_token_id`, which may be a list, in tokenizer_config.json."""
    if files.end_of_text not in files.control:
        raise UserError(
            f"{files.folder / TOKENIZER_CONFIG}: eos_token is {files.end_of_text!r}, but {TOKENIZER} has no such "
            "token: fetch both again"
        )
    more = files.settings.get("eos_token_id") or []
    more = [place for place in (more if isinstance(more, list) else [more]) if isinstance(place, int)]
    ends = dict.fromkeys([files.control[files.end_of_text], *more])
    return tuple(place for place in ends if 0 <= place < vocabulary_size)
