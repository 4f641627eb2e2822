"""GPT-2's byte-pair tokenizer by tiktoken, built without a network."""

import json
import os
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import numpy as np
import tiktoken
from tiktoken_ext.openai_public import r50k_pat_str  # type: ignore[import-untyped]  # comes without types

from reprotune.dataset.tokenizers.encoding import EncodedRow, Ids, Row, joined_prompt
from reprotune.dataset.tokenizers.escapes import ESCAPE, Escapes
from reprotune.dataset.tokenizers.gpt2_files import END_OF_TEXT, END_OF_TEXT_NAME, VOCABULARY_SIZE, vocabulary_file
from reprotune.errors import UserError

TEXTS_PER_TASK = 256
MOST_BLANKS = 100_000
"""White-space characters in a row; at a million tiktoken ends with an exception that is none of Python's."""
BLANKS = re.compile(rf"\s{{{MOST_BLANKS}}}\s")

# A GPT-2 pre-token holds white space at its start or throughout, never after another character. So a space or line
# break right after such a character always starts a new pre-token, whatever surrounds it.
LAST_CERTAIN_BREAK = re.compile(r".*\S(?=[ \n])", re.DOTALL)
FIRST_CERTAIN_BREAK = re.compile(r"\S(?=[ \n])")


@lru_cache(maxsize=1)
def load() -> tiktoken.Encoding:
    """Return GPT-2's encoding, built once per process (0.1 s).

    `encoder.json` alone determines it: tiktoken merges the pair whose joint token has the lowest id, and GPT-2's ids
    follow the order of the merges in `vocab.bpe`. Raises `UserError` when no source has the vocabulary.
    """
    byte_of = _byte_of_character()
    ids: dict[str, int] = json.loads(vocabulary_file("encoder.json"))
    del ids[END_OF_TEXT_NAME]
    return tiktoken.Encoding(
        "gpt2",
        pat_str=r50k_pat_str,
        mergeable_ranks={bytes(byte_of[character] for character in token): rank for token, rank in ids.items()},
        special_tokens={END_OF_TEXT_NAME: END_OF_TEXT},
        explicit_n_vocab=VOCABULARY_SIZE,
    )


def encode_batch(texts: Sequence[str]) -> list[Ids]:
    """Return the ids of each text; a literal `<|endoftext|>` is ordinary text, never the special token.

    Threads share the work in slices: dispatching texts one by one, as tiktoken's own batch call does, costs more than
    encoding texts of this size. Raises `UserError` on more white space in a row than tiktoken can divide.
    """
    for text in texts:
        _check_encodable(text)
    encode = load().encode_ordinary
    slices = [texts[start : start + TEXTS_PER_TASK] for start in range(0, len(texts), TEXTS_PER_TASK)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        encoded = pool.map(lambda part: [encode(text) for text in part], slices)
        return [ids for part in encoded for ids in part]


def _check_encodable(text: str) -> None:
    if len(text) > MOST_BLANKS and BLANKS.search(text):
        raise UserError(
            f"the text that begins with {text[:40]!r} has more than {MOST_BLANKS:,} white-space characters in a row, "
            "which is the limit of the tokenizer: shorten it, or lower fetch.dataset.max_chars"
        )


def decode(ids: Sequence[int]) -> str:
    """Return the text of `ids`; bytes that are not valid UTF-8 (a cut character) become U+FFFD."""
    return load().decode(ids)


class GPT2Tokenizer:
    """GPT-2's tokenizer as a `Tokenizer`; `<|endoftext|>` is its only special token."""

    end_of_text = (END_OF_TEXT,)
    beginning_of_text = None
    vocabulary_size = VOCABULARY_SIZE
    escapes = Escapes([END_OF_TEXT_NAME])

    def encode_batch(self, texts: Sequence[str]) -> list[Ids]:
        """See `Tokenizer`."""
        return encode_batch(texts)

    def encode_formatted(self, texts: Sequence[str]) -> list[Ids]:
        """See `Tokenizer`."""
        if not any(_has_structure(text) for text in texts):
            return encode_batch(texts)
        return [self._encode_parts(text) for text in texts]

    def encode_rows(self, rows: Sequence[Row]) -> list[EncodedRow]:
        """See `Tokenizer`: prompt and response are encoded separately."""
        prompts, responses = [joined_prompt(row) for row in rows], [row[-1] for row in rows]
        ids = self.encode_formatted([*prompts, *responses])
        return [
            EncodedRow(
                prompt_ids,
                response_ids,
                self._segments(prompt_ids, row),
                self._seam_agrees(prompt, response),
            )
            for prompt, response, row, prompt_ids, response_ids in zip(
                prompts, responses, rows, ids[: len(rows)], ids[len(rows) :], strict=True
            )
        ]

    def decode(self, ids: Sequence[int]) -> str:
        """See `Tokenizer`."""
        return decode(ids)

    def _encode_parts(self, formatted: str) -> Ids:
        parts = self.escapes.parts(formatted)
        ordinary = iter(encode_batch([part.text for part in parts if not part.special]))
        return [token for part in parts for token in ([END_OF_TEXT] if part.special else next(ordinary))]

    def _seam_agrees(self, prompt: str, response: str) -> bool:
        if not _has_structure(prompt) and not _has_structure(response):
            return seam_agrees(prompt, response)
        before, after = self.escapes.parts(prompt)[-1:], self.escapes.parts(response)[:1]
        if any(part.special for part in before + after):  # nothing is merged with a special token
            return True
        return seam_agrees("".join(part.text for part in before), "".join(part.text for part in after))

    def _segments(self, prompt_ids: Ids, row: Row) -> np.ndarray:
        """Return in which segment of the prompt each of its tokens starts, by counting bytes."""
        if len(row) == 2:
            return np.zeros(len(prompt_ids), dtype=np.int64)
        sizes = [len(token) for token in load().decode_tokens_bytes(prompt_ids)]
        starts = np.cumsum([0, *sizes])[:-1]
        ends = np.cumsum([len(self.escapes.plain(segment).encode()) for segment in row[:-1]])
        return np.searchsorted(ends, starts, side="right")


def _has_structure(formatted: str) -> bool:
    return ESCAPE in formatted or END_OF_TEXT_NAME in formatted


def seam_agrees(prompt: str, response: str) -> bool:
    """Tell whether encoding prompt and response separately gives the ids of encoding them together; exact.

    GPT-2 first cuts text into pre-tokens, left to right and without looking back, then merges within each. Only the
    pre-tokens around the seam can differ, so it is enough to compare from the last certain break of the prompt to
    the first of the response.
    """
    before = LAST_CERTAIN_BREAK.match(prompt)
    after = FIRST_CERTAIN_BREAK.search(response)
    return _agrees(prompt[before.end() :] if before else prompt, response[: after.end()] if after else response)


@lru_cache(maxsize=1 << 16)
def _agrees(tail: str, head: str) -> bool:
    encode = load().encode_ordinary
    return encode(tail) + encode(head) == encode(tail + head)


def _byte_of_character() -> dict[str, int]:
    """Return GPT-2's printable stand-in for each byte, as used in `encoder.json`, mapped back to the byte.

    Printable Latin-1 characters stand for themselves; the other bytes, in order, are written as U+0100 onwards.
    """
    printable = [byte for byte in range(256) if chr(byte).isprintable() and chr(byte) != " "]
    others = [byte for byte in range(256) if byte not in printable]
    stand_ins = {chr(byte): byte for byte in printable}
    stand_ins.update({chr(256 + place): byte for place, byte in enumerate(others)})
    return stand_ins
