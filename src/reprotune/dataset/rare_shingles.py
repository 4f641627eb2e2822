"""The index of a set-similarity join: the rare shingles of each text, as lists of the texts that have them.

Prefix filter: sort each text's n shingles from rare to common; two texts with similarity t must share one of their
n - ceil(t n) + 1 rarest. Any order that is the same for all texts is correct, and one that is nearly by rarity is fast.
"""

import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt

from reprotune.dataset.shingles import Codes, Ints, Places, ShingledTexts, bucket_of, chunks, narrowed
from reprotune.dataset.signatures import Signatures

Rarities = npt.NDArray[np.uint8]

COUNTER_BITS = 22
RARITY_BITS = 8
RARITIES_AN_OCTAVE = 8  # counts up to a dozen keep their order, larger ones that differ by 9 %
LIST_BITS = 32
POSTINGS_AT_ONCE = 1 << 20
ROUNDING = 1e-9  # so that 0.7 * 10 = 7.000000000000001 does not count as more than 7


@dataclass
class Postings:
    """The rare shingles that some texts share, sorted by (shingle, size of the text's set, text)."""

    text: Places
    size: Places
    """Of the text's set."""
    remaining: Places
    """Shingles of the text that are not rarer than this one; for some texts of thousands, more than that."""
    list_start: Ints
    """[lists]: where the postings of each shingle start."""

    @property
    def list_length(self) -> Ints:
        return np.diff(self.list_start, append=len(self.text))


def index_rare_shingles(texts: ShingledTexts, threshold: float) -> tuple[Postings, Signatures]:
    """Index the rare shingles of each text; take the signatures of the texts on the way.

    A posting is one number, so that all are sorted by one sort of numbers: a hash of the shingle (two shingles may
    share a list, which costs comparisons, no more), the text, and the shingle's place among the text's.
    """
    signatures = Signatures(texts)
    sizes = np.empty(len(texts), dtype=np.int32)
    text_bits = len(texts).bit_length()
    place_bits = 64 - LIST_BITS - text_bits
    rarities = _rarities(texts)

    def indexed(chunk: tuple[int, int]) -> Codes:
        first, last = chunk
        codes, size = _by_rarity(*texts.codes(first, last), rarities)
        signatures.set(first, codes, size)
        sizes[first:last] = size
        kept = _prefix(size, threshold)
        place = np.arange(kept.sum()) - np.repeat(np.cumsum(kept) - kept, kept)
        rare = codes[np.repeat(np.cumsum(size) - size, kept) + place]
        keys = bucket_of(rare, LIST_BITS) << np.uint64(text_bits + place_bits)
        keys |= np.repeat(np.arange(first, last, dtype=np.uint64) << np.uint64(place_bits), kept)
        return keys | np.minimum(place, (1 << place_bits) - 1).astype(np.uint64)

    with ThreadPoolExecutor(os.cpu_count()) as pool:  # numpy lets go of the interpreter while it sorts
        most = int(_prefix(np.diff(texts.bounds), threshold).sum())
        parts = pool.map(indexed, chunks(texts.bounds))
        postings = _sorted_postings(_end_to_end(parts, most), sizes, text_bits, place_bits)
    signatures.fold()
    return postings, signatures


def _prefix(sizes: Ints, threshold: float) -> Ints:
    """Return of how many rare shingles sets of these sizes must share one; never fewer for a larger set."""
    return sizes - np.ceil(threshold * sizes - ROUNDING).astype(np.int64) + 1


def _end_to_end(parts: Iterable[Codes], most: int) -> Codes:
    """Concatenate `most` numbers or fewer without holding them twice: memory that is not written to is not taken."""
    joined = np.empty(most, dtype=np.uint64)
    end = 0
    for part in parts:
        joined[end : end + len(part)] = part
        end += len(part)
    return joined[:end]


def _rarities(texts: ShingledTexts) -> Rarities:
    """Return for each of some million buckets how common its shingles are, on a scale of logarithms."""
    bits = min(COUNTER_BITS, len(texts.digits).bit_length())
    counts = np.zeros(1 << bits, dtype=np.uint32)
    one_at_a_time = Lock()

    def count(chunk: tuple[int, int]) -> None:
        buckets = bucket_of(texts.codes(*chunk)[0], bits).view(np.int64)
        with one_at_a_time:
            np.add.at(counts, buckets, np.uint32(1))

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for _ in pool.map(count, chunks(texts.bounds)):
            pass
    scale = RARITIES_AN_OCTAVE * np.log2(counts + np.float32(1))
    return np.minimum(scale, (1 << RARITY_BITS) - 1).astype(np.uint8)


def _by_rarity(codes: Codes, counts: Ints, rarities: Rarities) -> tuple[Codes, Ints]:
    """Return the distinct shingles of each text, rare ones first, and how many each text has.

    Text, rarity and code make one number: sorting numbers is many times as fast as sorting by several keys.
    """
    rarity_of = rarities.take(bucket_of(codes, len(rarities).bit_length() - 1).view(np.int64))
    code_bits = np.uint64(64 - RARITY_BITS - len(counts).bit_length())
    codes, table = narrowed(codes, int(code_bits))
    keys = np.repeat(np.arange(len(counts), dtype=np.uint64) << np.uint64(RARITY_BITS), counts)
    keys |= rarity_of
    keys <<= code_bits
    keys |= codes
    keys.sort()
    keys = keys[np.append(True, keys[1:] != keys[:-1])]
    starts = np.arange(len(counts) + 1, dtype=np.uint64) << (code_bits + np.uint64(RARITY_BITS))
    sizes = np.diff(np.searchsorted(keys, starts))
    keys &= (np.uint64(1) << code_bits) - np.uint64(1)
    return keys if table is None else table[keys], sizes


def _sorted_postings(keys: Codes, sizes: Places, text_bits: int, place_bits: int) -> Postings:
    """Sort the postings by list and size and take them apart, in place and in parts, to bound memory."""
    by_size = np.argsort(sizes, kind="stable").astype(np.int32)
    rank = np.empty(len(sizes), dtype=np.uint64)
    rank[by_size] = np.arange(len(sizes))
    place_mask, text_mask = np.uint64((1 << place_bits) - 1), np.uint64(((1 << text_bits) - 1) << place_bits)

    def ranks(part: Codes) -> Ints:
        return ((part & text_mask) >> np.uint64(place_bits)).view(np.int64)

    for part in _parts(keys):
        part[:] = part & ~text_mask | rank.take(ranks(part)) << np.uint64(place_bits)
    keys.sort()
    list_of = (keys >> np.uint64(64 - LIST_BITS)).astype(np.uint32)
    list_start = np.flatnonzero(np.append(True, list_of[1:] != list_of[:-1]))
    lengths = np.diff(list_start, append=len(keys))
    del list_of
    keys = keys[np.repeat(lengths > 1, lengths)]
    lengths = lengths[lengths > 1]
    text, size, remaining = (np.empty(len(keys), dtype=np.int32) for _ in range(3))
    for part, *columns in zip(*map(_parts, (keys, text, size, remaining)), strict=True):
        columns[0][:] = by_size.take(ranks(part))
        columns[1][:] = sizes.take(columns[0])
        columns[2][:] = columns[1] - (part & place_mask).view(np.int64)
    return Postings(text, size, remaining, np.cumsum(lengths) - lengths)


def _parts(array: Any) -> Iterator[Any]:
    """Yield views of some of the postings at a time."""
    for start in range(0, len(array), POSTINGS_AT_ONCE):
        yield array[start : start + POSTINGS_AT_ONCE]
