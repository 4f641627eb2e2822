"""Signatures against the sets they stand for."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from reprotune.dataset.shingles import ShingledTexts, normalise, shingles
from reprotune.dataset.signatures import FEWEST_BITS, Signatures


def signatures_of(texts: list[str]) -> Signatures:
    """Take the signatures of normalised texts, the last text first: any order will do."""
    numbers = ShingledTexts.of(texts)
    signatures = Signatures(numbers)
    for place in reversed(range(len(texts))):
        codes = np.unique(numbers.codes(place, place + 1)[0])
        signatures.set(place, codes, np.array([len(codes)]))
    signatures.fold()
    return signatures


def may_differ_by(signatures: Signatures, most: int) -> bool:
    """Tell whether the first two texts may differ in so many shingles."""
    pair = (np.array([place], dtype=np.int32) for place in (most, 0, 1))
    return bool(signatures.may_differ_by(*pair)[0])


@given(st.text(alphabet="abcde ", max_size=2000), st.text(alphabet="abcde ", max_size=100), st.integers(0, 2000))
def test_a_pair_that_differs_in_so_many_is_never_turned_away(text: str, change: str, place: int) -> None:
    one, other = normalise(text), normalise(text[:place] + change + text[place + len(change) :])
    assert may_differ_by(signatures_of([one, other]), len(shingles(one) ^ shingles(other)))


def test_long_texts_that_share_nothing_are_told_apart_by_long_signatures() -> None:
    random = np.random.default_rng(1)
    texts = ["".join(random.choice(list("abcdefghijklmnop"), size=1000)) for _ in range(2)]
    signatures = signatures_of(texts)
    assert signatures.bits == 2048
    differing = len(shingles(texts[0]) ^ shingles(texts[1]))
    assert not may_differ_by(signatures, differing // 3)
    assert may_differ_by(signatures, differing)


def test_short_texts_have_short_signatures() -> None:
    signatures = signatures_of(["a short text", "another short text"])
    assert signatures.bits == FEWEST_BITS
    assert not may_differ_by(signatures, 2)
