"""Groups of texts that repeat or nearly repeat one another: a set-similarity join that is exact, not probabilistic.

Two texts are near-duplicates when the Jaccard similarity of their sets of character 5-grams (shingles), taken after
case folding and collapsing white space, reaches a threshold t; groups are the connected components.

MinHash with LSH would miss some of the pairs by chance, and hashing a million rows in Python takes most of an
hour. The method here is the prefix filter of all-pairs search (Bayardo, Ma and Srikant, "Scaling Up All Pairs
Similarity Search", WWW 2007; Xiao et al., "Efficient Similarity Joins for Near Duplicate Detection", WWW 2008) in
numpy: sort each text's shingles from rare to common; two texts with similarity t must share one of their
n - ceil(t n) + 1 rarest. So only texts that share a rare shingle are compared: first by a signature that bounds
how many shingles differ, then exactly, on the text. Long texts get long signatures: with many more shingles than bits a
signature says nothing.
"""

import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from reprotune.console import progress_bar
from reprotune.dataset import shingles
from reprotune.dataset.shingles import (
    Codes,
    Ints,
    alphabet_of,
    bucket_of,
    chunked,
    distinct_shingles,
    normalise,
    shingle_codes,
    signatures_of,
    similarity,
)

Places = npt.NDArray[np.int32]  # there are some ten postings a text, so their numbers are what takes memory

PAIRS_PER_CHUNK = 1 << 20
COUNTER_BITS = 22
SIGNATURE_BITS = 256
FINE_SIGNATURE_BYTES = 1 << 28  # of all texts
LOW_HALF = (1 << 32) - 1  # of a pair's key, the other text; the upper half is the one
ROUNDING = 1e-9  # so that 0.7 * 10 = 7.000000000000001 does not count as more than 7


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
    fine_signatures: Codes | None  # [texts, n]: the same for more buckets, if the texts are long


def _join(texts: Sequence[str], threshold: float, groups: _Groups) -> None:
    """Join in `groups` the texts whose similarity reaches `threshold`.

    With sets of sizes a and b and an overlap of o, o / (a + b - o) >= t means o >= t / (1 + t) (a + b). The first
    shingle that two sets share leaves at most `remaining` others on either side, which must suffice for o.

    Round d compares each posting with the one d places further in its list. Sizes grow along a list, so a posting
    whose own `remaining` does not suffice is done.
    """
    share = threshold / (1 + threshold)
    index = _build_index(texts, threshold)
    compared = _Comparisons(texts, index, threshold, groups)
    active: Ints = np.arange(len(index.text))
    distance = 0
    with progress_bar("near-duplicates", len(active), " shingles") as bar:
        while len(active):
            distance += 1
            bar.update(len(index.text) - bar.n - len(active))
            active = active[active + distance < index.list_end[active]]
            least = share * (index.size[active] + index.size[active + distance]) - ROUNDING
            suffices = index.remaining[active] >= least
            active, least = active[suffices], least[suffices]
            left = active[index.remaining[active + distance] >= least]
            for start in range(0, len(left), PAIRS_PER_CHUNK):
                part = left[start : start + PAIRS_PER_CHUNK]
                compared.join_similar(part, part + distance)
            if distance.bit_count() == 1:  # at 1, 2, 4, 8, ...: it looks at all postings, so not in every round
                active = active[~_list_in_one_group(index, groups)[active]]


class _Comparisons:
    """Compares the texts of two postings, each pair of texts once: first by signature, then by their exact shingles."""

    def __init__(self, texts: Sequence[str], index: _Index, threshold: float, groups: _Groups) -> None:
        self.texts = texts
        self.lengths = np.fromiter(map(len, texts), dtype=np.int64, count=len(texts))
        self.index = index
        self.threshold = threshold
        self.groups = groups
        self.dissimilar: Ints = np.empty(0, dtype=np.int64)
        """Keys of pairs that need not be compared again, sorted; texts that share one posting often share many."""

    def join_similar(self, left: Ints, right: Ints) -> None:
        """Join the texts of postings left[i] and right[i] where they are similar enough.

        An overlap of o leaves a + b - 2 o shingles that differ; each bucket whose parity differs accounts for at least
        one.
        """
        ones, others = self.index.text[left], self.index.text[right]
        sizes = self.index.size[left] + self.index.size[right]
        most_differing = sizes - 2 * np.ceil(self.threshold / (1 + self.threshold) * sizes - ROUNDING)
        possible = _differing(self.index.signatures, ones, others) <= most_differing
        possible &= self.groups.roots(ones) != self.groups.roots(others)
        keys, first = np.unique(ones[possible].astype(np.int64) << 32 | others[possible], return_index=True)
        most_differing = most_differing[possible][first]
        fresh = ~_contains(self.dissimilar, keys)
        keys, most_differing = keys[fresh], most_differing[fresh]
        similar = np.ones(len(keys), dtype=np.bool_)
        if self.index.fine_signatures is not None:
            similar = _differing(self.index.fine_signatures, keys >> 32, keys & LOW_HALF) <= most_differing
        similar[similar] = self._are_similar(keys[similar] >> 32, keys[similar] & LOW_HALF)
        for key in keys[similar].tolist():
            self.groups.join(key >> 32, key & LOW_HALF)
        if not similar.all():
            self.dissimilar = np.sort(np.concatenate([self.dissimilar, keys[~similar]]))

    def _are_similar(self, ones: Ints, others: Ints) -> npt.NDArray[np.bool_]:
        """Tell which pairs of texts reach the threshold, some pairs at a time to bound memory."""
        if not len(ones):
            return np.empty(0, dtype=np.bool_)
        part = np.cumsum(self.lengths[ones] + self.lengths[others]) // shingles.CHARACTERS_PER_CHUNK
        starts = np.flatnonzero(np.diff(part, prepend=-1))
        parts = zip(np.split(ones, starts[1:]), np.split(others, starts[1:]), strict=True)
        return np.concatenate([self._similarities(*pairs) for pairs in parts]) >= self.threshold

    def _similarities(self, ones: Ints, others: Ints) -> npt.NDArray[np.float64]:
        """Return the similarity of each pair, from one sorted array of (pair, shingle): a common one is there twice."""
        involved, place = np.unique(np.concatenate([ones, others]), return_inverse=True)
        involved_texts = [self.texts[text] for text in involved.tolist()]
        codes, rows = distinct_shingles(*shingle_codes(involved_texts, alphabet_of(involved_texts)))
        pair_bits = len(ones).bit_length()
        code_bits = int(codes.max()).bit_length()
        if pair_bits + code_bits > 64:  # thousands of different characters: code by code would not be exact
            return np.array(
                [similarity(self.texts[one], self.texts[two]) for one, two in zip(ones, others, strict=True)]
            )
        sizes = np.bincount(rows)[place]
        starts = (np.cumsum(np.bincount(rows)) - np.bincount(rows))[place]
        pairs = np.tile(np.arange(len(ones)), 2)
        within = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        keys = np.repeat(pairs, sizes).astype(np.uint64) << np.uint64(code_bits)
        keys |= codes[np.repeat(starts, sizes) + within]
        keys.sort()
        twice = (keys[1:][keys[1:] == keys[:-1]] >> np.uint64(code_bits)).astype(np.int64)
        common = np.bincount(twice, minlength=len(ones))
        return common / (sizes[: len(ones)] + sizes[len(ones) :] - common)


def _differing(signatures: Codes, ones: Ints | Places, others: Ints | Places) -> Ints:
    """Return in how many buckets the signatures of two lists of texts differ, pair by pair."""
    counts = np.empty(len(ones), dtype=np.int64)
    step = max(1, PAIRS_PER_CHUNK * 4 // signatures.shape[1])
    for start in range(0, len(ones), step):
        part = slice(start, start + step)
        counts[part] = np.bitwise_count(signatures[ones[part]] ^ signatures[others[part]]).sum(axis=1)
    return counts


def _contains(sorted_keys: Ints, keys: Ints) -> npt.NDArray[np.bool_]:
    if not len(sorted_keys):
        return np.zeros(len(keys), dtype=np.bool_)
    places = np.minimum(np.searchsorted(sorted_keys, keys), len(sorted_keys) - 1)
    return np.asarray(sorted_keys[places] == keys)


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
    alphabet = alphabet_of(texts)
    counts = np.zeros(1 << COUNTER_BITS, dtype=np.int64)
    fine_bits = _fine_bits(texts)

    def counted(chunk: list[str]) -> Ints:
        return np.bincount(bucket_of(shingle_codes(chunk, alphabet)[0], COUNTER_BITS), minlength=len(counts))

    def indexed(chunk: list[str]) -> _ChunkIndex:
        return _index_chunk(*_by_rarity(*shingle_codes(chunk, alphabet), counts), threshold, fine_bits)

    postings: tuple[list[Any], ...] = ([], [], [], [])  # code, text, size, remaining
    signatures, fine_signatures = [], []
    first_text = 0
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # numpy lets go of the interpreter while it sorts
        for chunk_counts in pool.map(counted, chunked(texts)):
            counts += chunk_counts
        for chunk in pool.map(indexed, chunked(texts)):
            chunk.text[:] += first_text
            for column, part in zip(postings, chunk[:4], strict=True):
                column.append(part)
            signatures.append(chunk.signatures)
            if chunk.fine_signatures is not None:
                fine_signatures.append(chunk.fine_signatures)
            first_text += len(chunk.signatures)
    codes, text, size, remaining = (_joined(column) for column in postings)
    order = _posting_order(codes, size, text)
    codes = codes[order]
    ends = np.append(np.flatnonzero(codes[1:] != codes[:-1]) + 1, len(order))
    list_end = np.repeat(ends.astype(np.int32), np.diff(ends, prepend=0))
    del codes
    text = text[order]  # one at a time, each replacing its unsorted version
    size = size[order]
    remaining = remaining[order]
    fine = np.concatenate(fine_signatures) if fine_bits else None
    return _Index(text, size, remaining, list_end, np.concatenate(signatures), fine)


class _ChunkIndex(NamedTuple):
    """The index of some texts, which count from 0."""

    codes: Codes
    text: Places
    size: Places
    remaining: Places
    signatures: Codes
    fine_signatures: Codes | None


def _index_chunk(codes: Codes, rows: Ints, threshold: float, fine_bits: int) -> _ChunkIndex:
    """Keep the rare ones of the distinct shingles of each text, given rare ones first."""
    size = np.bincount(rows)
    remaining = np.repeat(np.cumsum(size), size) - np.arange(len(rows))
    rare = remaining >= np.ceil(threshold * size - ROUNDING)[rows]
    text = rows[rare]
    return _ChunkIndex(
        codes[rare],
        text.astype(np.int32),
        size[text].astype(np.int32),
        remaining[rare].astype(np.int32),
        signatures_of(codes, rows, SIGNATURE_BITS),
        signatures_of(codes, rows, fine_bits) if fine_bits else None,
    )


def _posting_order(codes: Codes, size: Places, text: Places) -> Ints:
    """Return the order of postings by shingle, then by size of the text's set, then by text."""
    texts, first = np.unique(text, return_index=True)
    rank = np.empty(int(texts[-1]) + 1, dtype=np.int64)
    rank[texts[np.lexsort((texts, size[first]))]] = np.arange(len(texts))
    rank_bits = np.uint64(len(texts).bit_length())
    if int(codes.max()).bit_length() + int(rank_bits) <= 64:
        return np.argsort(codes << rank_bits | rank[text].astype(np.uint64))
    return np.lexsort((rank[text], codes))


def _joined(parts: list[Any]) -> Any:
    """Concatenate arrays and release them."""
    joined = np.concatenate(parts)
    parts.clear()
    return joined


def _by_rarity(codes: Codes, rows: Ints, counts: Ints) -> tuple[Codes, Ints]:
    """Return the distinct shingles of each text, rare ones first."""
    codes, rows = distinct_shingles(codes, rows)
    rarity = np.minimum(counts[bucket_of(codes, COUNTER_BITS)], (1 << COUNTER_BITS) - 1)
    place_bits = len(codes).bit_length()
    # Row, rarity and place in one number: sorting numbers is many times as fast as sorting indices by several keys.
    keys = rows << (COUNTER_BITS + place_bits) | rarity << place_bits | np.arange(len(codes))
    keys.sort()
    order = keys & (1 << place_bits) - 1
    return codes[order], rows[order]


def _fine_bits(texts: Sequence[str]) -> int:
    """Return the size of the fine signatures: about two buckets a shingle, since full ones tell nothing; 0 for none."""
    mean = sum(map(len, texts)) / len(texts)
    wanted = min(1 << int(2 * mean).bit_length(), FINE_SIGNATURE_BYTES * 8 // len(texts))
    return 1 << wanted.bit_length() - 1 if wanted >= 2 * SIGNATURE_BITS else 0
