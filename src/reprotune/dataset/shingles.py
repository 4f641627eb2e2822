"""Shingles: the character 5-grams of texts, as sets for people and as numbers for fast comparison."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Codes = npt.NDArray[np.uint64]
Places = npt.NDArray[np.int32]  # of texts in long lists, where their numbers are what takes memory

SHINGLE = 5
PAD = "\n"  # cannot occur in a normalised text
CHARACTERS_PER_CHUNK = 1 << 17  # the arrays of a chunk stay in the processor's caches, where sorting is twice as fast
LARGEST_ALPHABET = 7131  # five of its digits fit into 64 bits
GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # 2**64 / golden ratio, odd: spreads codes over counters


def normalise(text: str) -> str:
    """Return the text as it is compared: case folded, white space collapsed, padded to one whole shingle."""
    return " ".join(text.casefold().split()).ljust(SHINGLE, PAD)


def shingles(text: str) -> set[str]:
    """Return the character 5-grams of a normalised text; never empty."""
    return {text[start : start + SHINGLE] for start in range(len(text) - SHINGLE + 1)}


def similarity(text: str, other: str) -> float:
    """Return the Jaccard similarity of the shingles of two normalised texts."""
    one, two = shingles(text), shingles(other)
    common = len(one & two)
    return common / (len(one) + len(two) - common)


@dataclass
class ShingledTexts:
    """Normalised texts as numbers: a byte or two a character instead of strings, ready to be read as shingles.

    The code of a shingle is the number whose five digits are its characters' places in the alphabet. It is unique up
    to 7131 different characters; beyond, numbers wrap at 2**64 and act as a hash.
    """

    digits: npt.NDArray[Any]
    """The characters of all texts, end to end, as places among those that occur; as narrow as these allow."""
    bounds: Ints
    """[texts + 1]: where each text begins, and the end."""
    alphabet: str
    """The characters that occur, in the order of their places."""

    @classmethod
    def of(cls, texts: Sequence[str]) -> "ShingledTexts":
        """Number the characters of normalised texts."""
        lengths = np.fromiter(map(len, texts), dtype=np.int64, count=len(texts))
        bounds = np.concatenate([[0], np.cumsum(lengths)])
        occurs = np.zeros(0x110000, dtype=np.bool_)
        for first, last in chunks(bounds):
            occurs[_code_points(texts[first:last])] = True
        alphabet = np.flatnonzero(occurs)
        places = np.zeros(len(occurs), dtype=np.min_scalar_type(len(alphabet)))
        places[alphabet] = np.arange(len(alphabet))
        digits = np.empty(bounds[-1], dtype=places.dtype)
        for first, last in chunks(bounds):
            digits[bounds[first] : bounds[last]] = places.take(_code_points(texts[first:last]))
        return cls(digits, bounds, "".join(map(chr, alphabet.tolist())))

    def __len__(self) -> int:
        return len(self.bounds) - 1

    @property
    def code_bits(self) -> int:
        return min(64, (len(self.alphabet) ** SHINGLE - 1).bit_length())

    @property
    def codes_are_unique(self) -> bool:
        return len(self.alphabet) <= LARGEST_ALPHABET

    def text(self, place: int) -> str:
        """Return a normalised text."""
        return "".join(self.alphabet[digit] for digit in self.digits[self.bounds[place] : self.bounds[place + 1]])

    def codes(self, first: int, last: int) -> tuple[Codes, Ints]:
        """Return the codes of all shingles of texts `first` up to `last`, repeats too, and how many each text has."""
        lengths = np.diff(self.bounds[first : last + 1])
        return self._read(self.digits[self.bounds[first] : self.bounds[last]], lengths)

    def codes_of(self, texts: Ints) -> tuple[Codes, Ints]:
        """Return the same for any texts, in the order given."""
        starts, ends = self.bounds[texts], self.bounds[texts + 1]
        parts = [self.digits[start:end] for start, end in zip(starts.tolist(), ends.tolist(), strict=True)]
        return self._read(np.concatenate(parts), ends - starts)

    def _read(self, digits: npt.NDArray[Any], lengths: Ints) -> tuple[Codes, Ints]:
        base = np.uint64(len(self.alphabet) | (not self.codes_are_unique))  # odd, so that no digit is shifted out
        windows = len(digits) - SHINGLE + 1
        codes = digits[:windows].astype(np.uint64)
        for place in range(1, SHINGLE):
            codes *= base
            codes += digits[place : place + windows]
        inside = np.ones(windows, dtype=np.bool_)
        ends = np.cumsum(lengths)[:-1, np.newaxis]
        inside[ends - np.arange(1, SHINGLE)] = False  # these windows reach into the next text
        return codes[inside], lengths - SHINGLE + 1


def chunks(bounds: Ints) -> Iterator[tuple[int, int]]:
    """Divide texts with these bounds into runs of a bounded number of characters, but of a text at least."""
    first = 0
    while first < len(bounds) - 1:
        fitting = int(np.searchsorted(bounds, bounds[first] + CHARACTERS_PER_CHUNK, side="right")) - 1
        last = max(first + 1, fitting)
        yield first, last
        first = last


def narrowed(codes: Codes, bits: int) -> tuple[Codes, Codes | None]:
    """Return codes that fit in `bits`; where they do not, their places in a second array, the codes in order."""
    if int(codes.max()).bit_length() <= bits:
        return codes, None
    table, places = np.unique(codes, return_inverse=True)
    return places.astype(np.uint64), table


def bucket_of(codes: Codes, bits: int) -> npt.NDArray[np.uint64]:
    """Spread codes over 2**bits buckets (Fibonacci hashing)."""
    return (codes * GOLDEN) >> np.uint64(64 - bits)


def _code_points(texts: Sequence[str]) -> npt.NDArray[np.uint32]:
    return np.frombuffer("".join(texts).encode("utf-32-le"), dtype=np.uint32)
