"""What is published to Git: finite numbers, no lists, and plots that DVC can draw."""

import csv
import io
import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reprotune.report.publish import (
    categories_csv,
    histogram,
    length_csv,
    loss_csv,
    numbers,
    scores_csv,
    scores_metrics,
    speed_metrics,
)
from reprotune.untrusted import visible

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)


def leaves(value: object) -> list[object]:
    if isinstance(value, dict):
        return [leaf for item in value.values() for leaf in leaves(item)]
    return [value]


@given(st.dictionaries(st.text(max_size=5), JSON_VALUES, max_size=5))
def test_published_values_are_what_dvc_can_compare(value: dict[str, object]) -> None:
    kept = numbers(value)
    json.dumps(kept, allow_nan=False)
    assert all(isinstance(leaf, (bool, int, float, str)) for leaf in leaves(kept))
    assert numbers(kept) == kept


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_number_that_is_not_finite_is_refused(bad: float) -> None:
    with pytest.raises(ValueError, match="loss"):
        numbers({"final": {"loss": bad}})


def test_scores_carry_their_method_and_leave_out_what_is_null(workspace: Path) -> None:
    judged = json.loads((workspace / "data/judgements/metrics.json").read_text())
    judged["base"]["score"] = None
    metrics = scores_metrics(judged)
    assert metrics["method"] == "offline_composite"
    assert metrics["finetuned"]["score"] == 57.9
    assert "score" not in metrics["base"]
    assert "categories" not in metrics, "each would be a column of `dvc exp show`"
    assert metrics["health"]["canaries_foreign"] == 0.75 and "repeat_sd" not in metrics["health"]
    assert metrics["pairwise"]["win_rate"] == 0.875
    judged["pairwise"] = None
    assert "pairwise" not in scores_metrics(judged)


def test_the_origin_of_a_training_is_no_metric() -> None:
    speed = {"seconds": 1.5, "made_with": {"torch": "2"}, "trained": {"commit": "5b94df95", "uncommitted": []}}
    assert speed_metrics(speed) == {"seconds": 1.5, "made_with": {"torch": "2"}}


def test_loss_lines_have_both_losses() -> None:
    rows = [
        {"step": "1", "epoch": "0.5", "train_loss": "3.0", "validation_loss": ""},
        {"step": "2", "epoch": "1.0", "train_loss": "2.0", "validation_loss": "2.25"},
        {"step": "3", "epoch": "1.5", "train_loss": "1.0", "validation_loss": ""},
    ]
    assert loss_csv(rows, initial_loss=4.5) == "step,epoch,train_loss,validation_loss\n0,0,,4.5\n2,1.0,2.500000,2.25\n"


@given(st.lists(st.floats(0, 100)))
def test_the_histogram_counts_every_score_once(scores: list[float]) -> None:
    counts = histogram(scores)
    assert sum(counts) == len(scores)
    assert counts[9] == sum(score >= 90 for score in scores)
    assert counts[0] == sum(score < 10 for score in scores)


def test_the_score_ranges_are_rows_of_a_table() -> None:
    rows = list(csv.DictReader(io.StringIO(scores_csv([0, 5, 100], [70.0]))))
    assert [row["base"] for row in rows] == ["2", *["0"] * 8, "1"]
    assert rows[7] == {"score": "70-80", "base": "0", "finetuned": "1"}


def test_length_and_score_are_a_table() -> None:
    assert length_csv([(12, 99.999), (3, 0.0)]) == "response_tokens,score\n12,100.00\n3,0.00\n"


def test_categories_are_lines_by_name(workspace: Path) -> None:
    judged = json.loads((workspace / "data/judgements/metrics.json").read_text())
    judged["categories"]["spelling"]["base"] = None
    lines = list(csv.DictReader(io.StringIO(categories_csv(judged))))
    names = [visible(name).replace("<", "⟨U+003C⟩") for name in sorted(judged["categories"])]
    assert [line["category"] for line in lines] == names
    assert any("⟨U+003C⟩script>" in name for name in names), "else it would end the script in DVC's page"
    [spelling] = [line for line in lines if line["category"] == "spelling"]
    values = {"n": "12", "base": "", "finetuned": "70.0", "base_exact": "0.0", "finetuned_exact": "0.1"}
    assert spelling == {"category": "spelling", **values}
    assert categories_csv({"categories": {}}) == "category,n,base,finetuned,base_exact,finetuned_exact\n"


def test_the_opponent_is_published_and_checks_where_there_are_any(workspace: Path) -> None:
    judged = json.loads((workspace / "data/judgements/metrics.json").read_text())
    assert "checks" not in scores_metrics(judged)
    judged["pairwise"]["against"] = "gpt4"
    judged["checks"] = {"n": 1, "echo": {"rows_strict": 0.25}, "kinds": {"words": {"n": 1}}}
    metrics = scores_metrics(judged)
    assert metrics["pairwise"]["against"] == "gpt4"
    assert metrics["checks"] == {"n": 1, "echo": {"rows_strict": 0.25}}
