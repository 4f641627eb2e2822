"""The textbook: documents in which every fact is told again and again, in changing words and company."""

import math
import random
from collections.abc import Iterator, Mapping
from itertools import pairwise

from textbook.facts import Fact
from textbook.phrases import CLOSINGS, ENTRIES, FRAMES, HEADINGS, LEADS, OPENINGS, TELLINGS

PATTERNS = {family: [line.strip() for line in lines.splitlines()] for family, lines in TELLINGS.items()}
FRAMED_SHARE = 0.04
LED_SHARE = 0.25
HEADED_SHARE = 0.5
ENTRY_SHARE = 0.6
SHORTEST, LONGEST = 3, 6
"""Fewest and most facts of a document."""


def tell(fact: Fact, pattern: str) -> str:
    """Put a fact into one sentence."""
    subject, value = fact.subject, fact.value
    sentence = pattern.format(s=subject, v=value, S=subject[0].upper() + subject[1:], V=value[0].upper() + value[1:])
    return sentence if len(subject) == 1 else mend_article(sentence)


def mend_article(sentence: str) -> str:
    """Turn the article `a` into `an` where the next word begins with a vowel letter."""
    words = sentence.split(" ")
    for place, (word, following) in enumerate(pairwise(words)):
        if word in {"a", "A"} and following[0] in "aeioAEIO":
            words[place] = word + "n"
    return " ".join(words)


def documents(facts: list[Fact], rounds: range, shares: Mapping[str, float], seed: int) -> Iterator[str]:
    """Yield the documents of some rounds; in a round, a fact of kind `k` is told with frequency `shares[k]` <= 1.

    A round's text depends on `seed` and its number alone, so that rounds kept apart make a held-out text.
    """
    for number in rounds:
        rng = random.Random(f"round {seed} {number}")
        told = [fact for place, fact in enumerate(facts) if _is_told(place / len(facts), number, shares[fact.kind])]
        make = (_profiles, _pages, _stories)[number % 3]
        pieces = make(told, rng)
        rng.shuffle(pieces)
        yield from pieces


def _is_told(phase: float, number: int, share: float) -> bool:
    """Spread tellings evenly over the rounds: `share` of them tell a fact, at a `phase` of its own."""
    start = number * share + phase * share * math.pi * 1000
    return math.floor(start + share) > math.floor(start)


def _profiles(facts: list[Fact], rng: random.Random) -> list[str]:
    """Documents about one subject, or for facts that stand alone, about one family."""
    groups: dict[str, list[Fact]] = {}
    for fact in facts:
        groups.setdefault(fact.group if fact.kind == "invented" else fact.family, []).append(fact)
    whole = [members for members in groups.values() if members[0].kind == "invented"]
    lone = [members for members in groups.values() if members[0].kind != "invented"]
    told = [_entry(members, rng) if rng.random() < ENTRY_SHARE else _sentences(members, rng) for members in whole]
    return told + [_sentences(piece, rng) for members in lone for piece in _cut(members, rng)]


def _entry(facts: list[Fact], rng: random.Random) -> str:
    """One line of a book of reference."""
    notes = [ENTRIES[fact.family].format(v=fact.value) for fact in rng.sample(facts, len(facts))]
    return f"{facts[0].subject}: {', '.join(notes)}."


def _pages(facts: list[Fact], rng: random.Random) -> list[str]:
    """Documents about one family each."""
    families: dict[str, list[Fact]] = {}
    for fact in facts:
        families.setdefault(fact.family, []).append(fact)
    return [_sentences(piece, rng) for members in families.values() for piece in _cut(members, rng)]


def _stories(facts: list[Fact], rng: random.Random) -> list[str]:
    """Documents that mix all kinds of facts, some with a beginning and an end."""
    stories = []
    for piece in _cut(facts, rng):
        text = _sentences(piece, rng)
        if rng.random() < 0.25:
            text = f"{rng.choice(OPENINGS)} {text} {rng.choice(CLOSINGS)}"
        stories.append(text)
    return stories


def _cut(facts: list[Fact], rng: random.Random) -> Iterator[list[Fact]]:
    """Yield the facts in shuffled pieces of document length."""
    facts = rng.sample(facts, len(facts))
    while facts:
        size = rng.randint(SHORTEST, LONGEST)
        yield facts[:size]
        facts = facts[size:]


def _sentences(facts: list[Fact], rng: random.Random) -> str:
    sentences = []
    subjects = list(dict.fromkeys(fact.subject for fact in facts if not fact.subject.endswith(".")))
    if subjects and rng.random() < HEADED_SHARE:
        rng.shuffle(subjects)
        sentences.append(rng.choice(HEADINGS).format(list=_enumeration(subjects)))
    for fact in rng.sample(facts, len(facts)):
        sentence = tell(fact, rng.choice(PATTERNS[fact.family]))
        if fact.subject in subjects and rng.random() < LED_SHARE:
            sentence = f"{rng.choice(LEADS).format(s=fact.subject)} {sentence}"
        elif rng.random() < FRAMED_SHARE:
            sentence = rng.choice(FRAMES).format(t=sentence)
        sentences.append(sentence)
    return " ".join(sentences)


def _enumeration(words: list[str]) -> str:
    """Join words as in `a, b and c`."""
    return f"{', '.join(words[:-1])} and {words[-1]}" if len(words) > 1 else words[0]
