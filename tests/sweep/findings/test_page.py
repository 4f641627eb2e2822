"""The page of a sweep: complete, the same on every run, inert, sortable, no wider than the window."""

import html
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reprotune.sweep.artifact import Written, read_trials
from reprotune.sweep.definition import read_sweep
from reprotune.sweep.findings.outcome import outcome
from reprotune.sweep.findings.page import sweep_page, trial_lines, winner_changes
from tests.builders.sweeps import run

Define = Callable[..., None]


def rendered(written: Written) -> str:
    return sweep_page(written, outcome(written))


def words(page: str) -> str:
    return " ".join(html.unescape(re.sub(r"<(style|script)>.*?</\1>|<[^>]+>", " ", page, flags=re.DOTALL)).split())


def test_a_rerun_gives_the_same_bytes(written: Written) -> None:
    assert rendered(written) == rendered(written)


def test_shows_the_winner_what_it_changes_and_every_trial(written: Written) -> None:
    text = words(rendered(written))
    found = outcome(written)
    assert found.winner is not None
    for expected in (
        f"Trial {found.winner.trial} beats the present params by",
        "Trials were compared after 25% and 50% of their steps",
        "validation set (40 rows)",
        "finetune.method full lora",
        "mean over 3 fresh seeds",
        "training diverged at step 7",
        f"{found.winner.loss:.4f}",
    ):
        assert expected in text
    assert rendered(written).count("<tr class=") >= 24


def test_the_best_of_those_that_got_furthest_come_first_and_failed_ones_last(written: Written) -> None:
    lines = trial_lines(written)
    reached = [max(line.drawn.losses, default=0.0) for line in lines]
    assert reached == sorted(reached, reverse=True)
    ends = [line.drawn.losses[1.0] for line in lines if 1.0 in line.drawn.losses]
    assert ends == sorted(ends)
    assert lines[-1].reason is not None


def test_changes_are_those_of_fixed_and_of_the_trial(written: Written) -> None:
    winner = outcome(written).winner
    assert winner is not None
    changes = {key: (old, new) for key, old, new in winner_changes(written, winner)}
    assert changes["finetune.method"] == ("full", "lora")
    assert changes["finetune.lora.rank"][1] == str(winner.values["finetune.lora.rank"])
    assert "finetune.seed" not in changes


def test_hostile_text_becomes_no_element(written: Written, check_inert: Callable[[str], None]) -> None:
    for row in written.rows:
        if row["reason"]:
            row["reason"] = '</script><img src=x onerror="alert(1)">\x00\u202e'
    page = rendered(written)
    check_inert(page)
    assert "&lt;/script&gt;&lt;img" in page


def test_a_sweep_without_a_result_has_a_page(define: Define) -> None:
    define(space={"finetune.learning_rate": {"low": 9e-3, "high": 1e-2}}, trials=4)
    sweep = read_sweep("try")
    written = read_trials(sweep, run(sweep))
    text = words(rendered(written))
    assert "Nothing can be said: no trial ran to its end" in text
    assert "No trial ran to its end, so nothing was compared." in text
    assert "too few trials to tell" in text


def test_a_single_param_and_no_rungs_have_a_page(define: Define) -> None:
    define(space={"finetune.epochs": [1, 2, 3]}, trials=3, rungs=[])
    sweep = read_sweep("try")
    text = words(rendered(read_trials(sweep, run(sweep))))
    assert "Every trial ran to its end." in text


@pytest.mark.slow
@pytest.mark.parametrize("width", [390, 1280])
def test_fits_the_window(width: int, written: Written, width_in_frame: Callable[[str, int], int]) -> None:
    assert width_in_frame(rendered(written), width) <= width


@pytest.mark.slow
def test_a_click_sorts_the_table_and_marks_a_trial(written: Written, tmp_path: Path, tab: Any) -> None:
    page = tmp_path / "sweep.html"
    page.write_text(rendered(written), encoding="utf-8")
    tab.open(page)
    column = "[...document.querySelectorAll('.sortable tbody tr')].map(row => row.cells[{}].dataset.key).join(' ')"
    rates = [float(key) for key in tab.run(column.format(1)).split()]
    tab.run("document.querySelectorAll('.sortable thead button')[1].click()")
    assert [float(key) for key in tab.run(column.format(1)).split()] == sorted(rates)
    tab.run("document.querySelectorAll('.sortable thead button')[1].click()")
    assert [float(key) for key in tab.run(column.format(1)).split()] == sorted(rates, reverse=True)
    tab.run("document.querySelectorAll('.sortable thead button')[7].click()")  # the loss at the end
    ends = tab.run(column.format(7)).split()
    assert [float(end) for end in ends] == sorted(map(float, ends))
    tab.run("document.querySelector('tr[data-trial=\"2\"]').click()")
    assert tab.run("document.querySelectorAll('.marked').length") == 3  # its row and its lines in both charts
    assert tab.run("[...document.querySelectorAll('.marked')].every(item => item.dataset.trial == '2')")
    assert tab.errors == []
