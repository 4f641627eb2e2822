"""A vote through the page in a real browser, up to metrics/, and a second voter's file."""

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.builders.clone import Clone
from tests.builders.tab import Tab

pytestmark = [pytest.mark.pipeline, pytest.mark.slow]

PAIRS = 60
KEY = "data/votes/first.ballot.parquet"
SWAPPED = {"left": "right", "right": "left"}


def write_outputs(clone: Clone, name: str, text: str) -> None:
    """Write answers of another model to the test prompts, in the form of AlpacaEval."""
    rows = pq.read_table(clone.root / "data/split/test.parquet").to_pylist()
    outputs = [
        {
            "instruction": f"{row['instruction']}\n\n{row['input']}" if row["input"] else row["instruction"],
            "output": f"{text} {index}",
            "generator": name,
        }
        for index, row in enumerate(rows)
    ]
    (clone.root / f"{name}.json").write_text(json.dumps(outputs), encoding="utf-8")


def vote_on_everything(tab: Tab, page: Path) -> Path:
    """Vote for the longer answer with the keyboard, mostly, and download the votes."""
    tab.open(page)
    tab.click("#voter")
    tab.write("Ada")
    tab.press("Enter")
    shown = int(tab.run("pairs.length"))
    for number in range(shown):
        first, second = len(tab.text("first")), len(tab.text("second"))
        better = "0" if first == second else "1" if (first > second) == (number % 6 > 0) else "2"
        tab.press(better)
    assert tab.text("progress") == f"All {shown} pairs voted on."
    tab.click("#download")
    return tab.downloaded()


def test_votes_end_as_ratings_and_a_second_voter_changes_them_through_dvc_repro_alone(clone: Clone, tab: Tab) -> None:
    for name, text in (
        ("rival", "A rival's answer, by far the longest of all, to number"),
        ("terse", "No"),
        ("plain", "Yes, it"),
    ):
        write_outputs(clone, name, text)
    contestants = ("base", "finetuned", "rival.json", "terse.json", "plain.json")
    made = clone.run("reprotune", "ballot", "first", *contestants, "--pairs", "60")
    assert f"{PAIRS} pairs of 5 models" in made.stdout
    page = clone.root / "data/votes/first.ballot.html"
    assert not any(name in page.read_text(encoding="utf-8") for name in ("terse", "finetuned", "(reference)"))
    file = vote_on_everything(tab, page)
    assert not tab.errors
    assert f"{PAIRS} of the {PAIRS} pairs" in clone.run("reprotune", "votes", "add", str(file)).stdout
    assert clone.repro() == ["card", "preference", "report"]
    once = published(clone)
    assert (once["votes"], once["voters"]) == (PAIRS, 1)
    ratings = {model: one["rating"] for model, one in once["ratings"]["models"].items()}
    assert max(ratings, key=ratings.__getitem__) == "rival" and len(ratings) == 5
    assert 'id="preference"' in (clone.root / "data/report/index.html").read_text(encoding="utf-8")

    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    other = [{**row, "voter": "Bob", "choice": SWAPPED.get(row["choice"], "same")} for row in rows[::2]]
    (clone.root / "bob.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in other), encoding="utf-8")
    clone.run("reprotune", "votes", "add", "bob.jsonl")
    assert clone.repro() == ["card", "preference", "report"]
    twice = published(clone)
    assert (twice["voters"], twice["alpha"] < 0) == (2, True)
    assert {model: one["rating"] for model, one in twice["ratings"]["models"].items()} != ratings
    assert clone.repro() == [], "the page and its votes are left alone"
    page.unlink()
    assert clone.repro() == [], "the page is no dep"
    clone.commit("votes")
    tracked = clone.run("git", "ls-files", "data/votes").stdout.split()
    assert KEY in tracked and sum(name.endswith(".jsonl") for name in tracked) == 2


def published(clone: Clone) -> dict[str, Any]:
    found: dict[str, Any] = clone.read_json("metrics/preference.json")
    return found


def test_answers_of_another_revision_are_read_through_dvc(clone: Clone) -> None:
    clone.set_params({"generate.max_new_tokens": 5})
    clone.repro("generate@finetuned")
    made = clone.run("reprotune", "ballot", "past", "now=finetuned", "HEAD", "then-base=HEAD:base")
    assert " of 3 models" in made.stdout
    rows = pq.read_table(clone.root / "data/votes/past.ballot.parquet").to_pylist()
    commit = clone.run("git", "rev-parse", "HEAD").stdout[:8]
    names = {row[side] for row in rows for side in ("left_model", "right_model") if row["control"] is None}
    assert names == {"now", f"HEAD@{commit}", "then-base"}
