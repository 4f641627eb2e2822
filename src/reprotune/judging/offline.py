"""Offline scorers: how close an answer comes to its reference, from statistics of the two texts alone.

They need neither a model nor a service. On short questions with one right answer they rank answers well, but they
cannot tell a good paraphrase from a wrong answer in similar words. Their composite is therefore always labelled
`offline_composite`, and never called a judge's verdict.
"""

import re
from collections import Counter
from decimal import Decimal
from typing import NamedTuple

from sacrebleu.metrics import CHRF

TOKEN = re.compile(r"\w+|[^\w\s]")
"""A word, or one punctuation mark: `don't.` has four tokens."""

NUMBER = re.compile(r"\d+(?:,\d{3})*(?:\.\d+)?", re.ASCII)
"""`1,234.5` is one number. A sign is not part of it: hyphens and minus signs look alike."""

_CHRF = CHRF()


class Statistics(NamedTuple):
    """What the texts alone say about an answer; every value lies in 0..1."""

    exact_match: float
    chrf: float
    rouge_l: float
    token_f1: float
    number_agreement: float | None
    """Null where neither text contains a number."""
    repetition: float
    length_ratio: float


def measure(reference: str, response: str) -> Statistics:
    """Compare one answer with its reference."""
    expected, found = tokens(reference), tokens(response)
    return Statistics(
        exact_match=float(normalised(reference) == normalised(response)),
        chrf=chrf(reference, response),
        rouge_l=_f1(_common_subsequence(expected, found), len(expected), len(found)),
        token_f1=_multiset_f1(Counter(expected), Counter(found)),
        number_agreement=number_agreement(reference, response),
        repetition=repetition(found),
        length_ratio=length_ratio(reference, response),
    )


def offline_composite(statistics: Statistics, response: str) -> float:
    """Return a score of 0..100: 100 for an exact match, 0 for an empty answer, else 100 * mean(chrF, token F1)."""
    if not response.strip():
        return 0.0
    if statistics.exact_match:
        return 100.0
    return 100.0 * (statistics.chrf + statistics.token_f1) / 2


def normalised(text: str) -> str:
    """Return the form in which two answers are compared for equality.

    Lenient about whitespace (a run of it counts as one blank) and about one final full stop; strict about everything
    else, including letter case, because some instructions are about case.
    """
    return " ".join(text.split()).removesuffix(".").rstrip()


def tokens(text: str) -> list[str]:
    """Split a text into case-folded words and punctuation marks."""
    return TOKEN.findall(text.casefold())


def chrf(reference: str, response: str) -> float:
    """Return chrF2 (character n-grams up to 6, beta 2; Popovic 2015) as sacrebleu computes it, divided by 100."""
    return float(_CHRF.sentence_score(response, [reference]).score) / 100


def number_agreement(reference: str, response: str) -> float | None:
    """Return the F1 of the two multisets of numbers (`1,000` equals `1000.0`); null where both are empty."""
    expected, found = _numbers(reference), _numbers(response)
    if not expected and not found:
        return None
    return _multiset_f1(expected, found)


def repetition(words: list[str]) -> float:
    """Return the share of token 3-grams that occur earlier in the same text: close to 1 for a loop."""
    grams = list(zip(words, words[1:], words[2:], strict=False))
    return 1 - len(set(grams)) / len(grams) if grams else 0.0


def length_ratio(reference: str, response: str) -> float:
    """Return the shorter length in characters divided by the longer one: 1 for equal lengths."""
    shorter, longer = sorted((len(reference.strip()), len(response.strip())))
    return shorter / longer if longer else 1.0


def _numbers(text: str) -> Counter[Decimal]:
    return Counter(Decimal(number.replace(",", "")) for number in NUMBER.findall(text))


def _multiset_f1(expected: Counter, found: Counter) -> float:
    return _f1((expected & found).total(), expected.total(), found.total())


def _f1(common: int, expected: int, found: int) -> float:
    """Return the harmonic mean of common/expected and common/found; two empty texts agree."""
    return 2 * common / (expected + found) if expected + found else 1.0


def _common_subsequence(first: list[str], second: list[str]) -> int:
    """Return the length of the longest common subsequence.

    Bit-parallel (Hyyro 2004): a whole row of the usual table is one integer, in which bit i is cleared where a longer
    subsequence ends at `first[i]`, so that even long answers take no noticeable time.
    """
    places: dict[str, int] = {}
    for index, token in enumerate(first):
        places[token] = places.get(token, 0) | 1 << index
    row = (1 << len(first)) - 1
    full = row
    for token in second:
        hits = row & places.get(token, 0)
        row = (row + hits | row - hits) & full
    return len(first) - row.bit_count()
