"""What the pipeline asks of a tokenizer, whichever library is behind it."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np

from reprotune.dataset.tokenizers.escapes import Escapes

Ids = list[int]
Row = Sequence[str]
"""Formatted texts that follow one another; all but the last are the prompt, and the last one is the response."""


class EncodedRow(NamedTuple):
    """A row as ids. The prompt's are those of encoding the prompt alone, which is all that generation has."""

    prompt_ids: Ids
    response_ids: Ids
    segments: np.ndarray
    """For each of `prompt_ids`, in which of the row's texts it starts."""
    seam_agrees: bool
    """Whether these are also the ids of encoding prompt and response as one text."""


class Tokenizer(Protocol):
    """Text to ids and back. Only what a template wrote becomes a special token, never the text of a row."""

    @property
    def end_of_text(self) -> tuple[int, ...]:
        """Ids after which nothing follows; the first one ends a row in training."""

    @property
    def beginning_of_text(self) -> int | None:
        """The id that every prompt starts with, unless a chat template leaves it out; None where there is none."""

    @property
    def vocabulary_size(self) -> int:
        """One more than the largest id."""

    @property
    def escapes(self) -> Escapes:
        """How formatted text tells special tokens from text that spells them."""

    def encode_batch(self, texts: Sequence[str]) -> list[Ids]:
        """Return the ids of each text, in which nothing is special, whatever it spells."""

    def encode_formatted(self, texts: Sequence[str]) -> list[Ids]:
        """Return the ids of each formatted text, in which special tokens stand as they are spelled."""

    def encode_rows(self, rows: Sequence[Row]) -> list[EncodedRow]:
        """Return the ids of each row of formatted texts."""

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of ids, with special tokens as they are spelled; half a character becomes U+FFFD."""


def joined_prompt(row: Row) -> str:
    """Return the prompt of a row as one text."""
    return row[0] if len(row) == 2 else "".join(row[:-1])
