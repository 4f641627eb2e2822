"""What people preferred, in metrics/, on the page and in the summary."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reprotune.artifacts import write_json
from reprotune.errors import UserError
from reprotune.params.document import Document
from reprotune.preference.standing import standing
from reprotune.preference.votes import Vote
from reprotune.report.page import render_report
from reprotune.report.preference import preference_metrics, preference_section, read_preference
from reprotune.results.read import load_results, load_speed
from reprotune.results.terminal import _facts
from tests.builders.run import HOSTILE

NAMES = ("finetuned", "base", HOSTILE[0][:60])


@pytest.fixture
def found(workspace: Path) -> dict[str, Any]:
    """What the stage writes of 90 votes on three models, one with a hostile name, by two voters."""
    votes = []
    for number in range(90):
        first, second = sorted((NAMES[number % 3], NAMES[(number + 1) % 3]))
        outcome = (1.0, 0.0, 1.0, 0.5)[number % 4]
        voter, pair = f"voter {number % 2}", str(number // 2 * 3 + number % 3)
        votes.append(Vote("x.jsonl", pair, pair, voter, first, second, outcome, False, True, None, None, None))
    value = {**standing(votes, {}, 0, 1.5, None), "outdated": 4, "scorers": {}}
    write_json(workspace / "data/preference/metrics.json", value)
    return read_preference(workspace / "data")


def test_metrics_are_numbers_without_single_voters(found: dict[str, Any]) -> None:
    published = preference_metrics(found)
    assert published["votes"] == 90 and len(published["ratings"]["models"]) == 3
    assert "by_voter" not in published and "separated" not in published["ratings"]
    assert all(math.isfinite(one["rating"]) for one in published["ratings"]["models"].values())
    assert preference_metrics({**found, "votes": 0}) == {"votes": 0}


def test_the_page_shows_the_votes_and_stays_inert(
    workspace: Path, found: dict[str, Any], check_inert: Callable[[str], None]
) -> None:
    results, speed = load_results(workspace / "data"), load_speed(workspace / "data")
    page = render_report(results, speed, Document.read(), "0" * 32, preference_section(found))
    check_inert(page)
    assert '<section id="preference">' in page and "90 votes of 2 voters" in page
    assert "4 pairs voted on had other answers" in page
    without = render_report(results, speed, Document.read(), "0" * 32, preference_section({**found, "votes": 0}))
    assert "preference" not in without.partition('<section id="params">')[0]


def test_the_summary_has_a_line_for_each_comparison(workspace: Path, found: dict[str, Any]) -> None:
    write_json(workspace / "metrics/preference.json", preference_metrics(found))
    facts = dict(_facts(workspace))
    assert facts["Votes on finetuned against base"].startswith("Not decided: of ")
    assert sum(name.startswith("Votes on ") for name in facts) == 3
    (workspace / "metrics/preference.json").write_text('{"votes": 0}', encoding="utf-8")
    assert not any(name.startswith("Votes on ") for name in dict(_facts(workspace)))


def test_a_damaged_file_is_one_sentence(workspace: Path, found: dict[str, Any]) -> None:
    path = workspace / "data/preference/metrics.json"
    path.write_text(json.dumps({**found, "left_share": 7}), encoding="utf-8")
    with pytest.raises(UserError, match="left_share should be at most 1, but it is 7"):
        read_preference(workspace / "data")
