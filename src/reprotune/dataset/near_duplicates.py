"""Groups of texts that repeat or nearly repeat one another: a set-similarity join that is exact, not probabilistic.

Two texts are near-duplicates when the Jaccard similarity of their sets of character 5-grams (shingles), taken after
case folding and collapsing white space, reaches a threshold t; groups are the connected components.

MinHash with LSH would miss some of the pairs by chance, and hashing a million rows in Python takes most of an
hour. The method here is the prefix filter of all-pairs search (Bayardo, Ma and Srikant, "Scaling Up All Pairs
Similarity Search", WWW 2007; Xiao et al., "Efficient Similarity Joins for Near Duplicate Detection", WWW 2008) in
numpy: sort each text's shingles from rare to common; two texts with similarity t must share one of their
n - ceil(t n) + 1 rarest. So only texts that share a rare shingle are compared: first by a 256-bit signature that
bounds how many shingles differ, then exactly, on the text.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Codes = npt.NDArray[np.uint64]
Places = npt.NDArray[np.int32]  # there are some ten postings a text, so their numbers are what takes memory

SHINGLE = 5
PAD = "\n"  # cannot occur in a normalised text
TEXTS_PER_CHUNK = 1 << 14
CHARACTERS_PER_CHUNK = 1 << 21
PAIRS_PER_CHUNK = 1 << 20
COUNTER_BITS = 22
SIGNATURE_BITS = 256
GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # 2**64 / golden ratio, odd: spreads codes over counters
ROUNDING = 1e-9  # so that 0.7 * 10 = 7.000000000000001 does not count as more than 7


def normalise(text: str) -> str:
    """Return the text as it is compared: case folded, white space collapsed, padded to one whole shingle."""
    return " ".join(text.casefold().split()).ljust(SHINGLE, PAD)


def shingles(text: str) -> set[str]:
    """Return the character 5-grams of a normalised text; never empty."""
    return {text[start : start + SHINGLE] for start in range(len(text) - SHINGLE + 1)}


def near_duplicate_groups(texts: Iterable[str], threshold: float) -> Ints:
    """Return for each text the index of the first text of its group (its own index if it has no near-duplicate).

    Takes time in proportion to the total length of the texts and to the number of pairs that share a rare shingle;
    a million instructions take a few minutes and below 2 GB.
    """
    first_seen: dict[str, int] = {}
    first = np.array([first_seen.setdefault(normalise(text), row) for row, text in enumerate(texts)], dtype=np.int64)
    unique_rows = np.array(list(first_seen.values()), dtype=np.int64)
    groups = _Groups(len(unique_rows))
    if len(unique_rows) > 1:
        _join(list(first_seen), threshold, groups)
    representative = np.zeros(len(first), dtype=np.int64)
    representative[unique_rows] = unique_rows[groups.roots(np.arange(len(unique_rows)))]
    return representative[first]


class _Groups:
    """Union-find whose roots are the smallest member of each group, so the result does not depend on the order."""

    def __init__(self, size: int) -> None:
        self.parent: Ints = np.arange(size)

    def root(self, item: int) -> int:
        while self.parent[item] != item:
            self.parent[item] = self.parent[self.parent[item]]
            item = int(self.parent[item])
        return item

    def roots(self, items: Ints | Places) -> Ints | Places:
        while not np.array_equal(above := self.parent[items], items):
            items = above
        return items

    def join(self, left: int, right: int) -> None:
        low, high = sorted((self.root(left), self.root(right)))
        self.parent[high] = low


@dataclass
class _Index:
    """The rare shingles of all texts, as postings sorted by (shingle, size of the text's set, text)."""

    text: Places
    size: Places  # of the text's set
    remaining: Places  # shingles of the text that are not rarer than this one
    list_end: Places  # where the postings of this shingle end
    signatures: Codes  # [texts, 4]: which of 256 buckets hold an odd number of the text's shingles


def _join(texts: Sequence[str], threshold: float, groups: _Groups) -> None:
    """Join in `groups` the texts whose similarity reaches `threshold`.

    With sets of sizes a and b and an overlap of o, o / (a + b - o) >= t means o >= t / (1 + t) (a + b). The first
    shingle that two sets share leaves at most `remaining` others on either side, which must suffice for o.

    Round d compares each posting with the one d places further in its list. Sizes grow along a list, so a posting
    whose own `remaining` does not suffice is done.
    """
    share = threshold / (1 + threshold)
    index = _build_index(texts, threshold)
    active: Ints = np.arange(len(index.text))
    distance = 0
    while len(active):
        distance += 1
        active = active[active + distance < index.list_end[active]]
        least = share * (index.size[active] + index.size[active + distance]) - ROUNDING
        suffices = index.remaining[active] >= least
        active, least = active[suffices], least[suffices]
        left = active[index.remaining[active + distance] >= least]
        for start in range(0, len(left), PAIRS_PER_CHUNK):
            part = left[start : start + PAIRS_PER_CHUNK]
            _compare(part, part + distance, texts, index, threshold, groups)
        if distance.bit_count() == 1:  # at 1, 2, 4, 8, ...: a look at all postings, so not in every round
            active = active[~_list_in_one_group(index, groups)[active]]


def _compare(left: Ints, right: Ints, texts: Sequence[str], index: _Index, threshold: float, groups: _Groups) -> None:
    """Join the texts of postings left[i] and right[i] where similar enough: first by signature, then by exact text.

    An overlap of o leaves a + b - 2 o shingles that differ; each bucket whose parity differs accounts for at least one.
    """
    sizes = index.size[left] + index.size[right]
    least_overlap = np.ceil(threshold / (1 + threshold) * sizes - ROUNDING)
    ones, others = index.text[left], index.text[right]
    differing = np.bitwise_count(index.signatures[ones] ^ index.signatures[others]).sum(axis=1)
    possible = differing <= sizes - 2 * least_overlap
    ones, others = ones[possible], others[possible]
    apart = groups.roots(ones) != groups.roots(others)
    for one, other in zip(ones[apart].tolist(), others[apart].tolist(), strict=True):
        if groups.root(one) != groups.root(other) and similarity(texts[one], texts[other]) >= threshold:
            groups.join(one, other)


def similarity(text: str, other: str) -> float:
    """Return the Jaccard similarity of the shingles of two normalised texts."""
    one, two = shingles(text), shingles(other)
    common = len(one & two)
    return common / (len(one) + len(two) - common)


def _list_in_one_group(index: _Index, groups: _Groups) -> npt.NDArray[np.bool_]:
    """Tell for each posting whether all texts of its list are in one group already."""
    starts, lengths = np.unique(index.list_end, return_counts=True)
    starts = starts - lengths
    roots = groups.roots(index.text)
    return np.repeat(np.minimum.reduceat(roots, starts) == np.maximum.reduceat(roots, starts), lengths)


def _build_index(texts: Sequence[str], threshold: float) -> _Index:
    """Index the rarest shingles of each text.

    Rarity is the value of the shingle's counter (shared by a few shingles): any order that is the same for all texts
    is correct, and one that is nearly by rarity is fast.
    """
    alphabet = _alphabet(texts)
    counts = np.zeros(1 << COUNTER_BITS, dtype=np.int64)
    for codes, _ in _shingle_codes(texts, alphabet):
        counts += np.bincount(_bucket(codes, COUNTER_BITS), minlength=len(counts))
    postings: tuple[list[Any], ...] = ([], [], [], [])  # code, text, size, remaining
    signatures = []
    first_text = 0
    for codes, rows in _shingle_codes(texts, alphabet):
        distinct_codes, distinct_rows = _by_rarity(codes, rows, counts)
        size = np.bincount(distinct_rows)
        remaining = np.repeat(np.cumsum(size), size) - np.arange(len(distinct_rows))
        rare = remaining >= np.ceil(threshold * size - ROUNDING)[distinct_rows]
        text = distinct_rows[rare]
        postings[0].append(distinct_codes[rare])
        for column, part in zip(postings[1:], (text + first_text, size[text], remaining[rare]), strict=True):
            column.append(part.astype(np.int32))
        signatures.append(_signatures(distinct_codes, distinct_rows))
        first_text += len(size)
    codes, text, size, remaining = (_joined(column) for column in postings)
    order = np.lexsort((text, size, codes))
    codes = codes[order]
    ends = np.append(np.flatnonzero(codes[1:] != codes[:-1]) + 1, len(order))
    list_end = np.repeat(ends.astype(np.int32), np.diff(ends, prepend=0))
    del codes
    text = text[order]  # one at a time, each replacing its unsorted version
    size = size[order]
    remaining = remaining[order]
    return _Index(text, size, remaining, list_end, np.concatenate(signatures))


def _joined(parts: list[Any]) -> Any:
    """Concatenate arrays and release them."""
    joined = np.concatenate(parts)
    parts.clear()
    return joined


def _by_rarity(codes: Codes, rows: Ints, counts: Ints) -> tuple[Codes, Ints]:
    """Return the distinct shingles of each text, rare ones first."""
    order = np.lexsort((codes, rows << 32 | counts[_bucket(codes, COUNTER_BITS)]))
    codes, rows = codes[order], rows[order]
    distinct = np.append(True, (codes[1:] != codes[:-1]) | (rows[1:] != rows[:-1]))
    return codes[distinct], rows[distinct]


def _signatures(codes: Codes, rows: Ints) -> Codes:
    buckets = rows * SIGNATURE_BITS + _bucket(codes, SIGNATURE_BITS.bit_length() - 1)
    held = np.bincount(buckets, minlength=(rows[-1] + 1) * SIGNATURE_BITS).reshape(-1, SIGNATURE_BITS)
    return np.packbits(held % 2 == 1, axis=1).view(np.uint64)


def _bucket(codes: Codes, bits: int) -> Ints:
    """Spread codes over 2**bits buckets (Fibonacci hashing)."""
    return ((codes * GOLDEN) >> np.uint64(64 - bits)).astype(np.int64)


def _alphabet(texts: Sequence[str]) -> Codes:
    """Return a table from code point to the place of the character among those that occur."""
    occurs = np.zeros(0x110000, dtype=np.bool_)
    for chunk in _chunks(texts):
        occurs[_code_points(chunk)] = True
    return np.cumsum(occurs, dtype=np.uint64)


def _shingle_codes(texts: Sequence[str], alphabet: Codes) -> Iterator[tuple[Codes, Ints]]:
    """Yield, for a chunk of texts at a time, the code of every shingle and the place of its text in the chunk.

    A code is the shingle read as a five-digit number whose digits are characters. It is unique up to 7131 different
    characters; beyond, numbers wrap at 2**64 and act as a hash.
    """
    base = alphabet[-1] | np.uint64(1)  # odd, so that a wrapped number still depends on every digit
    for chunk in _chunks(texts):
        lengths = np.array([len(text) for text in chunk])
        digits = alphabet[_code_points(chunk)]
        windows = len(digits) - SHINGLE + 1
        codes = np.zeros(windows, dtype=np.uint64)
        for place in range(SHINGLE):
            codes = codes * base + digits[place : place + windows]
        rows = np.repeat(np.arange(len(chunk)), lengths)[:windows]
        inside = np.arange(windows) + SHINGLE <= np.cumsum(lengths)[rows]
        yield codes[inside], rows[inside]


def _chunks(texts: Iterable[str]) -> Iterator[list[str]]:
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


def _code_points(texts: Sequence[str]) -> npt.NDArray[np.uint32]:
    return np.frombuffer("".join(texts).encode("utf-32-le"), dtype=np.uint32)
