"""Signatures of sets of shingles: a few hundred bits that bound in how many shingles two sets differ.

A bit tells whether an odd number of the set's shingles falls into a bucket. Where the bits of two sets differ, at least
one shingle is in one set only (a parity sketch, after Mitzenmacher, Pagh and Pham, "Efficient Estimation for High
Similarities Using Odd Sketches", WWW 2014, read here as a bound, which is certain). With many more differing shingles
than buckets half of the bits differ, however many shingles do, so long texts need long signatures; short ones, which
are folded long ones, are compared first.
"""

import numpy as np
import numpy.typing as npt

from reprotune.dataset.shingles import Codes, Ints, Places, ShingledTexts, bucket_of

Mask = npt.NDArray[np.bool_]

FEWEST_BITS = 256
FOLD = 4  # each level of signatures is this many times as short as the one before
BYTES = 1 << 28  # at most, of the longest signatures of all texts
PAIRS_AT_ONCE = 1 << 14  # their signatures stay in the processor's caches


class Signatures:
    """The signatures of numbered texts, which may be set in any order."""

    def __init__(self, texts: ShingledTexts) -> None:
        """Take about two to four buckets for each shingle of a text of mean length, as many as memory allows."""
        mean = len(texts.digits) // len(texts)
        wanted = min(1 << (2 * mean).bit_length(), BYTES * 8 // len(texts))
        self.bits = max(FEWEST_BITS, 1 << wanted.bit_length() - 1)
        self._longest: Codes = np.zeros((len(texts), self.bits // 64), dtype=np.uint64)
        self._levels: list[Codes] = []

    def set(self, first: int, codes: Codes, sizes: Ints) -> None:
        """Set the signatures of texts from `first` on, given their distinct shingles, one text after the other."""
        held = np.zeros(len(sizes) * self.bits, dtype=np.uint8)
        buckets = np.repeat(np.arange(0, len(held), self.bits), sizes)
        buckets += bucket_of(codes, self.bits.bit_length() - 1).view(np.int64)
        np.add.at(held, buckets, np.uint8(1))  # wraps at 256, which keeps what is odd
        held &= 1
        packed = np.packbits(held.reshape(len(sizes), self.bits), axis=1)
        self._longest[first : first + len(sizes)] = packed.view(np.uint64)

    def fold(self) -> None:
        """Derive the shorter signatures, once all are set: buckets whose parities are added are one bucket."""
        self._levels = [self._longest]
        while (words := self._levels[0].shape[1] // FOLD) * 64 >= FEWEST_BITS:
            parts = self._levels[0].reshape(len(self._longest), FOLD, words)
            self._levels.insert(0, np.bitwise_xor.reduce(parts, axis=1))

    def may_differ_by(self, most: Places, ones: Places, others: Places) -> Mask:
        """Tell which pairs of texts may have at most so many shingles that only one of the two has."""
        possible = np.ones(len(ones), dtype=np.bool_)
        for signatures in self._levels:
            telling = np.flatnonzero(possible & (most < signatures.shape[1] * 32))  # any two sets differ in half
            for start in range(0, len(telling), PAIRS_AT_ONCE):
                part = telling[start : start + PAIRS_AT_ONCE]
                possible[part] = _differing(signatures, ones[part], others[part]) <= most[part]
        return possible


def _differing(signatures: Codes, ones: Places, others: Places) -> npt.NDArray[np.uint32]:
    """Return in how many bits the signatures of two lists of texts differ, pair by pair."""
    differing = signatures.take(ones, axis=0)  # many times as fast as signatures[ones]
    differing ^= signatures.take(others, axis=0)
    return np.einsum("ij->i", np.bitwise_count(differing), dtype=np.uint32)
