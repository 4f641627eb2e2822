"""The similarity join against the definition, applied to every pair."""

import json
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reprotune.dataset import near_duplicates, rare_shingles, shingles, signatures
from reprotune.dataset.near_duplicates import near_duplicate_groups
from reprotune.dataset.shingles import normalise, similarity


def groups_by_definition(texts: list[str], threshold: float) -> list[int]:
    """Compare all pairs, on sets written out anew, and follow the links from the smallest index."""
    padded = [" ".join(text.casefold().split()).ljust(5, "\n") for text in texts]
    sets = [{text[i : i + 5] for i in range(len(text) - 4)} for text in padded]
    first = list(range(len(texts)))
    for one, other in combinations(range(len(texts)), 2):
        common = len(sets[one] & sets[other])
        if common / (len(sets[one]) + len(sets[other]) - common) >= threshold:
            low, high = sorted((first[one], first[other]))
            first = [low if group == high else group for group in first]
    return first


@pytest.mark.parametrize(("threshold", "count"), [(0.9, 1100), (0.6, 400)])
def test_real_rows_give_the_groups_of_the_definition(shared_data: Path, threshold: float, count: int) -> None:
    rows = json.loads((shared_data / "llms-from-scratch/instruction-data.json").read_text(encoding="utf-8"))
    texts = [f"{row['instruction']}\n{row['input']}" for row in rows[:count]]
    groups = near_duplicate_groups(texts, threshold).tolist()
    assert groups == groups_by_definition(texts, threshold)
    assert len(set(groups)) < len(set(texts)), "the data has near-duplicates that are not exact"


# Few letters and a piece repeated with small changes: many pairs lie close to the threshold on either side.
SMALL_TEXT = st.text(alphabet="abc \tA\u00df\u00e9\U0001f600", max_size=14)
VARIANT = st.builds(lambda start, end: f"{start}the common middle of many texts{end}", SMALL_TEXT, SMALL_TEXT)


@settings(deadline=None)
@given(
    st.lists(st.one_of(SMALL_TEXT, VARIANT, st.text(max_size=8)), max_size=14),
    st.sampled_from([0.2, 0.5, 0.7, 0.75, 0.9, 1.0]),
)
def test_random_texts_give_the_groups_of_the_definition(texts: list[str], threshold: float) -> None:
    assert near_duplicate_groups(texts, threshold).tolist() == groups_by_definition(texts, threshold)


@pytest.mark.parametrize("threshold", [0.7, 0.8, 0.9])
def test_a_similarity_exactly_at_the_threshold_counts(threshold: float) -> None:
    text = "abcdefghijklmn"  # 10 shingles
    other = text[: 4 + round(10 * threshold)]
    assert similarity(text, other) == threshold
    assert near_duplicate_groups([text, other], threshold).tolist() == [0, 0]


def test_case_and_white_space_do_not_tell_texts_apart() -> None:
    texts = ["Name  the\nCAPITAL.", "something else", " name the capital. ", "Stra\u00dfe", "STRASSE"]
    assert near_duplicate_groups(texts, 1.0).tolist() == [0, 1, 0, 3, 3]


def test_texts_below_one_shingle_group_only_with_themselves() -> None:
    assert near_duplicate_groups(["abc", "abcd", "ABC ", "", " ", "ab"], 0.1).tolist() == [0, 1, 0, 3, 3, 5]


def test_groups_are_joined_through_a_chain() -> None:
    words = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
    chain = [" ".join(words[start : start + 7]) for start in range(4)]
    assert similarity(normalise(chain[0]), normalise(chain[3])) < 0.6
    assert near_duplicate_groups(chain, 0.6).tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("count", [0, 1])
def test_nothing_to_compare(count: int) -> None:
    assert near_duplicate_groups(["text"] * count, 0.9).tolist() == [0] * count


def test_an_alphabet_too_large_for_unique_codes_still_finds_the_pairs() -> None:
    """Above 7131 different characters the shingles' codes wrap and act as hashes."""
    generator = np.random.default_rng(1)
    texts = ["".join(map(chr, generator.integers(0x4E00, 0x9FA0, size=60))) for _ in range(600)]
    assert len(set("".join(texts))) > 7131
    changed = texts[5][:-1] + "."
    assert near_duplicate_groups([*texts, changed], 0.9).tolist() == [*range(600), 5]


def test_the_size_of_the_chunks_makes_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [f"text number {row % 7} with a shared ending" for row in range(60)] + ["ab", "a much longer text " * 9]
    expected = near_duplicate_groups(texts, 0.9).tolist()
    monkeypatch.setattr(shingles, "CHARACTERS_PER_CHUNK", 90)
    monkeypatch.setattr(rare_shingles, "POSTINGS_AT_ONCE", 3)
    monkeypatch.setattr(near_duplicates, "PAIRS_PER_CHUNK", 2)
    monkeypatch.setattr(signatures, "PAIRS_AT_ONCE", 1)
    assert near_duplicate_groups(texts, 0.9).tolist() == expected == groups_by_definition(texts, 0.9)


def test_many_variants_of_few_texts_finish_quickly() -> None:
    """Long posting lists must not cost a comparison of all their pairs: 20,000 rows here have 2 million."""
    texts = [
        f"Write a short and friendly story about the {place} dwarfs who lived under the hill for years {row % 10}"
        for place in range(100, 200)
        for row in range(200)
    ]
    groups = near_duplicate_groups(texts, 0.9)
    assert len(np.unique(groups)) < 101


@pytest.mark.parametrize("alphabet", [26, 2000, 9000])
def test_long_passages_in_many_wordings_are_grouped_by_definition(alphabet: int) -> None:
    """Rows that share most of their text, on both sides of the threshold: long signatures, every way to sort."""
    texts = passages_in_wordings(alphabet)
    expected = groups_by_definition(texts, 0.9)
    assert 25 < len(np.unique(expected)) < 100
    assert near_duplicate_groups(texts, 0.9).tolist() == expected


@pytest.mark.parametrize(
    ("name", "bits"),
    [("COUNTER_BITS", 1), ("LIST_BITS", 3), pytest.param("LIST_BITS", 57, id="no bits are left for places")],
)
@pytest.mark.parametrize("threshold", [0.6, 0.9])
def test_bits_that_do_not_suffice_cost_time_only(
    monkeypatch: pytest.MonkeyPatch, name: str, bits: int, threshold: float
) -> None:
    """All shingles equally rare, many in one list, places that are not known: more is compared, nothing is missed."""
    texts = passages_in_wordings(26)
    monkeypatch.setattr(rare_shingles, name, bits)
    assert near_duplicate_groups(texts, threshold).tolist() == groups_by_definition(texts, threshold)


def passages_in_wordings(alphabet: int) -> list[str]:
    """Return 100 texts, four to a passage."""
    random = np.random.default_rng(alphabet)
    characters = [chr(0x61 + place) if alphabet == 26 else chr(0x4E00 + place) for place in range(alphabet)]
    texts = []
    for _ in range(25):
        words = ["".join(random.choice(characters, size=random.integers(2, 8))) for _ in range(random.integers(5, 250))]
        passage = " ".join(words)
        wordings = (
            f"Read this and answer. {passage}",
            f"{passage} Summarize the text above.",
            f"{passage} {passage[:40]}",
        )
        texts += [*wordings, f"Write a long and detailed summary of this article in your own words: {passage}"]
    return texts
