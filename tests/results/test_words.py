"""The words for results: numbers, tables of data, pairs."""

from typing import Any

from reprotune.artifacts import STATISTICS
from reprotune.results.words import (
    STATISTIC_WORDS,
    VERDICTS,
    counted,
    data_table,
    error_words,
    pair_facts,
    quantity,
    scorer_words,
)
from reprotune.statistics.paired import BETTER, NOISE, SAME, TOO_FEW, UNKNOWN, WORSE

PAIRS: dict[str, Any] = {
    "win_rate": 0.875,
    "ci95_low": 0.77,
    "ci95_high": 0.94,
    "length_adjusted_win_rate": 0.86,
    "length_adjusted_low": 0.75,
    "length_adjusted_high": 0.92,
    "longer_share": 0.4,
    "length_adjusted_unknown": None,
    "wins": 50,
    "losses": 5,
    "ties": 5,
    "identical": 3,
    "unscored": 1,
    "position_bias": None,
}


def test_every_statistic_has_its_words() -> None:
    assert tuple(STATISTIC_WORDS) == STATISTICS


def test_every_verdict_has_its_words() -> None:
    assert set(VERDICTS) == {BETTER, WORSE, NOISE, SAME, TOO_FEW, UNKNOWN}


def test_both_standard_errors_are_shown() -> None:
    assert error_words({"stderr": 0.64, "stderr_clustered": 1.17}) == "standard error 0.64, clustered by category 1.17"
    assert error_words({"stderr": 0.64}) == "standard error 0.64"
    assert error_words({"stderr": None}) == ""


def test_data_tables_take_both_layouts_of_splits() -> None:
    below = data_table({"rows": {"train": 8, "test": 1, "validation": 1}, "rows_moved": 0})
    assert below == ([("rows moved", 0)], [("rows", [8, 1, 1])])
    assert data_table({"rejected": 0, "reasons": {}}) == ([("rejected", 0)], [])
    above = data_table({"train": {"length": {"max": 9}}, "validation": {"length": {"max": 8}}, "test": {}})
    assert above == ([], [("length: max", [9, 8, None])])


def test_quantities_read_well() -> None:
    assert [quantity(value) for value in (None, True, 1234567, 0.12345, 3700.4, "x")] == [
        "–", "yes", "1,234,567", "0.1235", "3,700", "x",
    ]  # fmt: skip
    assert quantity(0.1234, "padding share") == "12.3%"


def test_one_of_a_kind_is_singular() -> None:
    assert [counted(number, "epoch") for number in (0, 1, 1.0, 1.5, 2.0, 1250)] == [
        "0 epochs", "1 epoch", "1 epoch", "1.5 epochs", "2 epochs", "1,250 epochs",
    ]  # fmt: skip


def test_the_offline_score_is_explained_and_no_judge_s() -> None:
    text = scorer_words({"method": "offline_composite"})
    assert text.startswith("No judge was asked")
    for part in ("100 for an answer equal to its reference", "0 for an empty one", "mean of chrF", "token F1"):
        assert part in text


def test_a_judge_is_named_with_all_that_shapes_its_scores() -> None:
    judge = {
        "backend": "ollama",
        "model": "llama3",
        "digest": "sha256:365c0bd3c000a25d28ddbf732fe1c6add414de7275464c4e4d1c3b5fcb5d8ad1",
        "address": "local",
        "rubric": "reference",
        "temperature": 0.0,
        "repeats": 1,
        "expected_score": False,
    }
    text = scorer_words({"judge": judge})
    assert "Judged by llama3 (digest 365c0bd3c000), asked through ollama at a local address, with the rubric" in text
    assert "rubric reference, at temperature 0." in text
    assert "times" not in text and "probabilities" not in text
    more = {"digest": None, "temperature": None, "repeats": 3, "expected_score": True}
    text = scorer_words({"judge": judge | more, "mapping": {"file": "map.json", "kind": "isotonic"}})
    assert "Judged by llama3, asked" in text
    assert "rubric reference, 3 times for each answer, scores weighted by the probabilities" in text
    assert text.endswith("mapped by map.json (isotonic).")


def test_pairs_are_put_in_words_once_for_every_reader() -> None:
    facts = dict(pair_facts(PAIRS))
    assert facts["fine-tuned wins (ties count half)"] == "87.5%"
    assert facts["95 % interval"] == "77.0% to 94.0%"
    assert facts["won, lost, tied"] == "50, 5, 5"
    assert pair_facts(PAIRS | {"verdict": "better"}, "candidate")[0] == ("verdict on candidate", "better")
    assert "candidate wins (ties count half)" in dict(pair_facts(PAIRS, "candidate"))
    judged = pair_facts({**PAIRS, "position_bias": 0.25})
    assert judged[:-1] == pair_facts(PAIRS)
    assert judged[-1] == ("verdicts that follow the place", "25.0%")


def test_without_pairs_or_verdicts_there_is_nothing_to_say() -> None:
    assert pair_facts(None) == []
    assert pair_facts({**PAIRS, "win_rate": None}) == []


def test_a_rate_at_equal_length_that_cannot_be_told_says_why() -> None:
    unknown = {"length_adjusted_win_rate": None, "length_adjusted_unknown": "no judge was asked"}
    assert dict(pair_facts(PAIRS | unknown))["at equal length"] == "cannot be told: no judge was asked"


def test_pairs_say_against_whom() -> None:
    assert pair_facts(PAIRS | {"against": "base"})[0] == ("against", "the base model")
    assert pair_facts(PAIRS | {"against": "reference"})[0] == ("against", "the references")
    facts = dict(pair_facts(PAIRS | {"against": "gpt4", "unanswered": 3, "unmatched": 2}))
    assert facts["against"] == "gpt4"
    assert facts["test rows that the other has no answer to"] == "3"
    assert facts["answers of the other to no test row"] == "2"
