"""The words for checks: never a figure without what trivial answers would get."""

from typing import Any

from reprotune.results.checks import ANSWERERS, check_lines, check_sentence, kind_lines

FIGURES = ("rows_strict", "rows_loose", "checks_strict", "checks_loose")
SHARES = {"base": 0.25, "finetuned": 0.5, "echo": 0.248, "empty": 0.0}
KINDS = {
    "words": {"n": 1200, "base": 0.1, "finetuned": 0.9, "echo": 0.5},
    "case": {"n": 1, "base": 0.0, "finetuned": 1.0, "echo": None},
}
CHECKS: dict[str, Any] = {
    "n": 4,
    "n_checks": 9,
    **{name: dict.fromkeys(FIGURES, share) for name, share in SHARES.items()},
}


def test_every_table_ends_with_its_trivial_answers() -> None:
    lines = check_lines(CHECKS)
    assert [name for name, _ in lines] == list(ANSWERERS.values())
    assert lines[2] == ("The prompt itself as the answer", ["24.8%"] * 4)
    assert kind_lines(CHECKS | {"kinds": KINDS}) == [
        ("case", ["1", "0.0%", "100.0%", "–"]),
        ("words", ["1,200", "10.0%", "90.0%", "50.0%"]),
    ]


def test_the_sentence_names_them_too() -> None:
    expected = "fine-tuned 50.0%, base 25.0%; the prompt itself would get 24.8%, no text 0.0% (4 rows)"
    assert check_sentence(CHECKS) == expected
    assert check_sentence(CHECKS | {"n": 1}).endswith("(1 row)")
