"""Checks of an answer: each kind by its definition, at its edges, and against hostile texts and settings."""

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reprotune.dataset.checks import MOST_CHECKS, canonical, occurrences, parsed_checks


def holds(text: str, kind: str, **settings: Any) -> bool:
    (check,) = parsed_checks([{"kind": kind, **settings}])
    return check.holds(text)


@pytest.mark.parametrize(
    ("kind", "text", "count"),
    [
        ("words", "One two, three – four-five.", 4),
        ("words", " -  . ", 0),
        ("sentences", "It costs 3.50 in all. Really?! Yes", 3),
        ("sentences", 'He said "no." Then he left…', 2),
        ("sentences", "是的。不是！", 2),
        ("sentences", "Dr. No", 2),
        ("lines", "a\n\n b\n\t\nc", 3),
        ("paragraphs", "a\nb\n\nc\n \t\n\n\nd", 3),
        ("bullets", "List:\n- a\n * b\n• c\n1. d\n12) e\n-f\n1.5 g\n-", 5),
    ],
)
def test_what_is_counted(kind: str, text: str, count: int) -> None:
    assert holds(text, kind, at_least=count, at_most=count)
    assert not holds(text, kind, at_least=count + 1)
    assert not count or not holds(text, kind, at_most=count - 1)


@pytest.mark.parametrize(
    ("settings", "complying", "others"),
    [
        ({"kind": "includes", "text": "cat"}, ["A Cat.", "cat-like", "“cat”"], ["concatenate", "cats", "cat2"]),
        ({"kind": "includes", "text": "cat", "at_least": 2}, ["cat, CAT", "cat cat"], ["cat cats"]),
        ({"kind": "includes", "text": "cat", "at_most": 1}, ["no", "one cat"], ["cat cat"]),
        ({"kind": "includes", "text": "C++"}, ["I use c++."], ["abc++"]),
        ({"kind": "excludes", "texts": ["um", "er"]}, ["number"], ["Um, no", "ER"]),
        ({"kind": "case", "case": "lower"}, ["abc 1", "é"], ["aBc", "12", "日本"]),
        ({"kind": "case", "case": "upper"}, ["ABC!"], ["ABc", "!"]),
        ({"kind": "no_commas"}, ["a; b"], ["a, b"]),
        ({"kind": "quoted"}, ['"a"', " “a” ", "„a“", "«a»"], ['"a', '""', '"', '" "', "'a'", 'say "a"', "“a“"]),
        ({"kind": "starts_with", "text": "Dear"}, ["dear you", "\n Dear"], ["My dear"]),
        ({"kind": "ends_with", "text": "the end."}, ["It is The End.\n"], ["the end", "the end. Not"]),
        ({"kind": "number"}, ["7", "-1,234.50", "+3", "1000.5"], ["7 cats", "1,23", "1.", ".5", "1e3", "٣", "1 000"]),
        ({"kind": "number", "decimals": 2}, ["3.14"], ["3.1", "3", "3.141"]),
        ({"kind": "number", "decimals": 0}, ["3", "1,000"], ["3.0"]),
        ({"kind": "json"}, ['{"a": 1}', "[]", '```json\n{"a": [1]}\n```', "7"], ["{", "It is {}", "NaN", "{'a': 1}"]),
        ({"kind": "json", "keys": ["a", "b"]}, ['{"a": null, "b": 2}'], ['{"a": 1}', '["a", "b"]', '"ab"']),
    ],
)
def test_what_complies(settings: dict[str, Any], complying: list[str], others: list[str]) -> None:
    (check,) = parsed_checks([settings])
    assert [text for text in complying if not check.holds(text)] == []
    assert [text for text in others if check.holds(text)] == []


EVERY: list[dict[str, Any]] = [
    *({"kind": kind, "at_most": 5} for kind in ("words", "sentences", "lines", "paragraphs", "bullets")),
    {"kind": "includes", "text": "a"},
    {"kind": "excludes", "texts": ["a"]},
    {"kind": "case", "case": "lower"},
    {"kind": "no_commas"},
    {"kind": "quoted"},
    {"kind": "starts_with", "text": "a"},
    {"kind": "ends_with", "text": "a"},
    {"kind": "number", "decimals": 2},
    {"kind": "json", "keys": ["a"]},
]


@given(st.text())
def test_no_text_breaks_a_check_and_white_space_around_it_never_counts(text: str) -> None:
    for check in parsed_checks(EVERY):
        assert check.holds(text) == check.holds(f" \n{text}\n\t ")
        assert not check.holds(" \n\t")


@given(st.lists(st.sampled_from(EVERY), max_size=MOST_CHECKS))
def test_checks_survive_being_written(chosen: list[dict[str, Any]]) -> None:
    checks = parsed_checks(chosen)
    text = canonical(checks)
    assert parsed_checks(text) == checks and canonical(parsed_checks(text)) == text
    with_nulls = [one | {"at_least": one.get("at_least"), "keys": one.get("keys")} for one in chosen]
    assert parsed_checks(with_nulls) == checks  # as a Parquet file of objects has them


@given(st.text("ab ", min_size=1, max_size=3), st.text("ab ,", max_size=30))
def test_occurrences_are_those_of_whole_words(sought: str, text: str) -> None:
    words = [word for word in text.replace(",", " ").split() if word]
    if sought.strip() and " " not in sought.strip():
        assert occurrences(sought, text) == words.count(sought.strip())
    assert occurrences(sought, text) <= len(text)


@pytest.mark.parametrize("text", ["(" * 100_000, "[" * 90_000, "." * 50_000 + "x", '"' * 50_000, "a " * 50_000])
@pytest.mark.parametrize("tail", ["", "\n" * 50_000 + "x", " " * 50_000 + "x", ".'" * 20_000 + "x", "1" * 50_000])
def test_hostile_texts_cost_no_time(text: str, tail: str) -> None:
    started = time.process_time()
    for check in parsed_checks(EVERY):
        check.holds(text + tail)
    assert time.process_time() - started < 5


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        ("[1", "checks are not valid JSON"),
        ("[" * 100_000, "checks are not valid JSON"),
        ({"kind": "words"}, "checks are not a list but dict"),
        ([7], "check 0 is not an object"),
        ([{}], "check 0 has no kind"),
        ([{"kind": "regex", "pattern": "(a+)+$"}], "check 0 is of no kind that there is"),
        ([{"kind": "no_commas"}, {"kind": "words"}], "check 1 of kind words: it should have at_least, at_most or both"),
        ([{"kind": "words", "at_least": 5, "at_most": 4}], "at_least should not be more than at_most"),
        ([{"kind": "words", "at_least": "5"}], "check 0 of kind words has an unusable at_least"),
        ([{"kind": "words", "at_least": True}], "check 0 of kind words has an unusable at_least"),
        ([{"kind": "words", "at_least": -1}], "check 0 of kind words has an unusable at_least"),
        ([{"kind": "words", "at_least": 1, "atmost": 2}], "check 0 of kind words has a key that is not known"),
        ([{"kind": "includes"}], "check 0 of kind includes has no text"),
        ([{"kind": "excludes", "texts": []}], "check 0 of kind excludes has an unusable texts"),
        ([{"kind": "starts_with", "text": "x" * 1001}], "check 0 of kind starts_with has an unusable text"),
        ([{"kind": "includes", "text": "\ud83d"}], "check 0 of kind includes has an unusable text"),
        ([{"kind": "no_commas"}] * (MOST_CHECKS + 1), f"more than {MOST_CHECKS} checks"),
    ],
)
def test_what_is_no_check_is_said_in_words(value: Any, fault: str) -> None:
    with pytest.raises(ValueError, match="check") as caught:
        parsed_checks(value)
    assert fault in str(caught.value)
    if isinstance(value, list):
        with pytest.raises(ValueError, match="check"):
            parsed_checks(json.dumps(value))


@pytest.mark.parametrize("value", [None, "", "  ", [], "[]"])
def test_nothing_is_no_checks(value: Any) -> None:
    assert parsed_checks(value) == []
