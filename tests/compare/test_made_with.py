"""Results that were made with something else, or by code that wrote fewer keys: said in a sentence, or compared."""

import copy
import json
from collections.abc import Iterator
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from reprotune.compare.comparison import Comparison, compare
from reprotune.compare.gate import LimitRule, Rules, check_changes, check_limits, read_rules
from reprotune.compare.markdown import comparison_markdown
from reprotune.compare.page import comparison_page
from reprotune.compare.snapshot import Snapshot, load_snapshot
from reprotune.compare.terminal import print_comparison
from reprotune.compare.words import notes
from reprotune.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
Pair = tuple[Snapshot, Snapshot]
MADE = {
    "torch": "2.11.0",
    "python": "3.11.7",
    "precision": "fp32",
    "device_type": "cpu",
    "constraints_sha256": "12345678" * 8,
}
OTHERWISE = "made with different software or devices"


def made(snapshots: Pair, old: dict[str, str], new: dict[str, str]) -> Comparison:
    return compare(replace(snapshots[0], made_with=old), replace(snapshots[1], made_with=new))


def shown(comparison: Comparison) -> list[str]:
    """Return a comparison in the terminal, as Markdown and as a page."""
    text = StringIO()
    print_comparison(comparison, Console(file=text, width=400, highlight=False, markup=False))
    return [text.getvalue(), comparison_markdown(comparison), comparison_page(comparison)]


def test_what_differs_is_named_old_and_new(snapshots: Pair) -> None:
    new = MADE | {"torch": "2.13.0+cpu", "precision": "bf16", "constraints_sha256": "abcdef01" * 8}
    comparison = made(snapshots, MADE, new)
    for text in shown(comparison):
        assert f"{OTHERWISE}, which alone can change results: torch 2.11.0 → 2.13.0+cpu, precision fp32 → bf16" in text
        assert "the hash of constraints.txt 12345678… → abcdef01…" in text
        assert "Python" not in text.partition(OTHERWISE)[2].partition("\n")[0].partition("</li>")[0]


@pytest.mark.parametrize(("old", "new"), [(MADE, MADE), ({}, MADE), (MADE, {}), ({}, {})])
def test_nothing_is_said_of_the_same_or_unknown(snapshots: Pair, old: dict[str, str], new: dict[str, str]) -> None:
    assert not [note for note in notes(made(snapshots, old, new)) if OTHERWISE in note]


def test_what_is_recorded_is_only_text(snapshots: Pair) -> None:
    hostile = "<img src=x>@team \x1b[2J\u202e ![x](http://x)"
    terminal, markdown, page = shown(made(snapshots, MADE, MADE | {"torch": hostile}))
    assert "\x1b[2J" not in terminal + markdown + page
    (line,) = (line for line in markdown.splitlines() if OTHERWISE in line)
    assert not any(active in line for active in ("<img", "@team", "![x]("))
    assert "<img src=x>@team" not in page


def keys_of(document: dict[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for key, value in document.items():
        yield (*above, key)
        if isinstance(value, dict):
            yield from keys_of(value, (*above, key))


def without(document: dict[str, Any], path: tuple[str, ...]) -> dict[str, Any]:
    changed = copy.deepcopy(document)
    inside = changed
    for key in path[:-1]:
        inside = inside[key]
    del inside[path[-1]]
    return changed


@pytest.fixture
def before(snapshots: Pair, tmp_path: Path) -> Path:
    """The artifacts of the first revision."""
    assert snapshots
    return tmp_path / "before"


def test_an_older_revision_without_a_key_is_compared_or_named(before: Path, snapshots: Pair) -> None:
    needed = set()
    rules = read_rules(ROOT / "gate.yaml")
    for name in ("judgements/metrics.json", "model/metrics.json", *(f"{s}/summary.json" for s in ("raw", "split"))):
        whole = json.loads((before / name).read_text())
        for path in keys_of(whole):
            (before / name).write_text(json.dumps(without(whole, path)))
            try:
                old = load_snapshot(before, "old (1a2b3c4d)", snapshots[0].params, [])
            except UserError as error:
                assert f"has no usable `{'method' if path == ('method',) else 'initial.validation_loss'}`" in str(error)
                needed.add(path)
                continue
            comparison = compare(old, snapshots[1])
            print_comparison(comparison, Console(file=StringIO(), width=100))
            try:
                check_changes(rules, comparison)
                check_limits(Rules(changes=[], limits=[LimitRule(metric="finetuned.score", at_least=0)]), old)
            except UserError as error:
                assert path in (("best",), ("best", "validation_loss"), ("finetuned",), ("finetuned", "score"))
                assert "old (1a2b3c4d) has no metric" in str(error)
        (before / name).write_text(json.dumps(whole))
    assert needed == {("method",), ("initial",), ("initial", "validation_loss")}


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("model/metrics.json", "{", "is not valid JSON"),
        ("model/metrics.json", "[]", "should be a JSON object"),
        ("model/metrics.json", '{"initial": {"validation_loss": NaN}}', "is not valid JSON (NaN is no number)"),
        (
            "model/metrics.json",
            '{"initial": {"validation_loss": "1"}}',
            "initial.validation_loss should be a number, but it is '1'",
        ),
        ("judgements/metrics.json", '{"method": 5}', "method should be text, but it is 5"),
        ("model/loss.csv", "step,epoch,train_loss\n1,0.1,2.0\n", "has no usable `validation_loss`"),
        ("model/loss.csv", "step,epoch,train_loss,validation_loss\n1,0.1,x,\n", "has no usable `train_loss`"),
        ("model/loss.csv", "step,epoch,train_loss,validation_loss\n1.5,0.1,1,\n", "has no usable `step`"),
        ("model/loss.csv", "step,epoch,train_loss,validation_loss\n1,0.1\n", "has no usable `train_loss`"),
    ],
)
def test_a_result_of_another_shape_is_one_sentence(before: Path, name: str, content: str, words: str) -> None:
    (before / name).write_text(content)
    with pytest.raises(UserError) as caught:
        load_snapshot(before, "old", {}, [])
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
