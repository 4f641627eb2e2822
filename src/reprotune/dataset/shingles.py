"""Shingles: the character 5-grams of texts, as sets for people and as numbers for fast comparison."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Codes = npt.NDArray[np.uint64]

SHINGLE = 5
PAD = "\n"  # cannot occur in a normalised text
TEXTS_PER_CHUNK = 1 << 14
CHARACTERS_PER_CHUNK = 1 << 21
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


def alphabet_of(texts: Sequence[str]) -> Codes:
    """Return a table from code point to the place of the character among those that occur."""
    occurs = np.zeros(0x110000, dtype=np.bool_)
    for chunk in chunked(texts):
        occurs[_code_points(chunk)] = True
    return np.cumsum(occurs, dtype=np.uint64)


def chunked(texts: Iterable[str]) -> Iterator[list[str]]:
    """Yield the texts in pieces bounded in number and length, so that memory is, too."""
    chunk: list[str] = []
    characters = 0
    for text in texts:
        chunk.append(text)
        characters += len(text)
        if len(chunk) == TEXTS_PER_CHUNK or characters >= CHARACTERS_PER_CHUNK:
            yield chunk
            chunk, characters = [], 0
    if chunk:
        yield chunk


def shingle_codes(texts: Sequence[str], alphabet: Codes) -> tuple[Codes, Ints]:
    """Return the code of every shingle and the place of its text among `texts`.

    A code is the shingle read as a five-digit number whose digits are characters. It is unique up to 7131 different
    characters; beyond, numbers wrap at 2**64 and act as a hash.
    """
    base = alphabet[-1] | np.uint64(1)  # odd, so that a wrapped number still depends on every digit
    lengths = np.array([len(text) for text in texts])
    digits = alphabet[_code_points(texts)]
    windows = len(digits) - SHINGLE + 1
    codes = np.zeros(windows, dtype=np.uint64)
    for place in range(SHINGLE):
        codes = codes * base + digits[place : place + windows]
    rows = np.repeat(np.arange(len(texts)), lengths)[:windows]
    inside = np.arange(windows) + SHINGLE <= np.cumsum(lengths)[rows]
    return codes[inside], rows[inside]


def distinct_shingles(codes: Codes, rows: Ints) -> tuple[Codes, Ints]:
    """Return the distinct shingles of each text, in the order of their codes; texts come in order."""
    code_bits = np.uint64(int(codes.max()).bit_length())
    if int(rows[-1]).bit_length() + int(code_bits) <= 64:
        keys = rows.astype(np.uint64) << code_bits | codes
        keys.sort()
        keys = keys[np.append(True, keys[1:] != keys[:-1])]
        rows = (keys >> code_bits).astype(np.int64)
        return keys ^ rows.astype(np.uint64) << code_bits, rows
    order = np.lexsort((codes, rows))
    codes, rows = codes[order], rows[order]
    distinct = np.append(True, (codes[1:] != codes[:-1]) | (rows[1:] != rows[:-1]))
    return codes[distinct], rows[distinct]


def bucket_of(codes: Codes, bits: int) -> Ints:
    """Spread codes over 2**bits buckets (Fibonacci hashing)."""
    return ((codes * GOLDEN) >> np.uint64(64 - bits)).astype(np.int64)


def signatures_of(codes: Codes, rows: Ints, bits: int) -> Codes:
    """Return [texts, bits / 64]: which buckets hold an odd number of a text's shingles."""
    parts = []
    step = max(1, CHARACTERS_PER_CHUNK * 2 // bits)  # texts at a time
    for first in range(0, int(rows[-1]) + 1, step):
        start, stop = np.searchsorted(rows, (first, first + step))
        texts = min(step, int(rows[-1]) + 1 - first)
        buckets = (rows[start:stop] - first) * bits + bucket_of(codes[start:stop], bits.bit_length() - 1)
        held = np.bincount(buckets, minlength=texts * bits).reshape(texts, bits)
        parts.append(np.packbits(held % 2 == 1, axis=1).view(np.uint64))
    return np.concatenate(parts)


def _code_points(texts: Sequence[str]) -> npt.NDArray[np.uint32]:
    return np.frombuffer("".join(texts).encode("utf-32-le"), dtype=np.uint32)
