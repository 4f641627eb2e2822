"""Benchmarks on the report's page and among the published numbers."""

import csv
import html
import io
import re
from pathlib import Path

import pytest

from reprotune.multiple_choice.figures.measured import NOTHING
from reprotune.params.document import Document
from reprotune.report.benchmarks import benchmarks
from reprotune.report.page import render_report
from reprotune.report.publish import benchmark_metrics, subjects_csv
from reprotune.results.read import Results, load_results, load_speed
from tests.builders.benchmark import asked, item, write_benchmark


@pytest.fixture
def results(workspace: Path) -> Results:
    return load_results(workspace / "data")


def test_the_page_shows_figures_beside_trivial_answers(results: Results, workspace: Path) -> None:
    page = render_report(results, load_speed(workspace / "data"), Document.read(), "0" * 32)
    section = page[page.index('<section id="benchmarks">') : page.index('<section id="training">')]
    text = " ".join(html.unescape(re.sub(r"<[^>]+>", " ", section)).split())
    exam = results.figures["cloze_0shot_plain"]
    assert '<a href="#benchmarks">' in page
    for expected in (
        "exam, cloze_0shot_plain",
        f"right answers {100 * exam['base']['accuracy']:.1f} (",
        f"best constant answer {100 * exam['trivial']['best_constant']:.1f}",
        "always the longest option",
        "chance 25.0 25.0",
        "Positions chosen",
        "near-ties (less than 0.01 nats) 0 0",
        f"{exam['difference']['gained']} gained, {exam['difference']['lost']} lost, exact p",
        "spelling 20 ",
        "fine-tuning forgot",
        f"bits per byte {results.retention['base']['bits_per_byte']:.4f}",
    ):
        assert expected in text, expected
    tables = section.split("<table")[1:4:2]  # figures and subjects end in the trivial answers
    assert all(table.split("<tr")[-1].startswith(' class="trivial"') for table in tables)


def test_hostile_subjects_are_text(results: Results, workspace: Path) -> None:
    page = render_report(results, load_speed(workspace / "data"), Document.read(), "0" * 32)
    section = page[page.index('<section id="benchmarks">') : page.index('<section id="training">')]
    assert "&lt;script&gt;document.title" in section and "<script" not in section and "<img" not in section
    assert "\u202e" not in section and "\x1b" not in section


def test_mmlus_groups_are_summed_under_both_conventions(workspace: Path) -> None:
    subjects = ["anatomy", "astronomy", "virology"]
    items = [item(place, subject, "ab", 0) for place, subject in enumerate(subjects)]
    rows = [asked(place, [-1.0, -2.0], model) for place in range(3) for model in ("base", "finetuned")]
    write_benchmark(workspace / "data", items, rows)
    (shown,) = benchmarks(load_results(workspace / "data"))
    sizes = {name: cells[0] for name, cells in shown.tables[-1].lines}
    expected = {"STEM (lm-eval)": "2", "STEM (Hendrycks et al.)": "1", "other (lm-eval)": "1"}
    assert sizes == expected | {"other (Hendrycks et al.)": "2"}


def test_letters_are_named(workspace: Path) -> None:
    items = [item(place, "law", "ab", 0) for place in range(3)]
    rows = [
        asked(place, [-1.0, -2.0], model, formulation="letters_5shot_plain", unconditional=None)
        for place in range(3)
        for model in ("base", "finetuned")
    ]
    write_benchmark(workspace / "data", items, rows)
    (shown,) = benchmarks(load_results(workspace / "data"))
    figures, letters, _ = shown.tables
    assert (letters.title, letters.head[0]) == ("Letters chosen", "Letter")
    assert letters.lines == [("A", ["100.0", "100.0", "100.0"]), ("B", ["0.0", "0.0", "0.0"])]
    assert "per character" not in [name for name, _ in figures.lines]
    assert "Not above the best constant answer: base and fine-tuned." in shown.sentences


def test_subjects_are_a_line_each_and_inert(results: Results) -> None:
    lines = list(csv.DictReader(io.StringIO(subjects_csv(results.measured))))
    assert len(lines) == 9 and {line["n"] for line in lines} == {"20"}
    assert lines[0]["subject"] == "spelling"
    assert float(lines[0]["base_low"]) < float(lines[0]["base"]) < float(lines[0]["base_high"])
    assert not any("<" in line["subject"] or "\x1b" in line["subject"] for line in lines)
    assert subjects_csv(NOTHING) == "subject,n,base,base_low,base_high,finetuned,finetuned_low,finetuned_high\n"


def test_groups_are_published_with_their_characters_spelled_out(workspace: Path) -> None:
    items = [item(place, "law", "ab", 0, group="\x1b[31mred") for place in range(3)]
    rows = [asked(place, [-1.0, -2.0], model) for place in range(3) for model in ("base", "finetuned")]
    write_benchmark(workspace / "data", items, rows)
    results = load_results(workspace / "data")
    published = benchmark_metrics("exam", results.figures, results.retention)
    assert list(published["exam"]["cloze_0shot_plain"]["groups"]) == ["⟨U+001B⟩[31mred"]
    assert "retention" not in published
