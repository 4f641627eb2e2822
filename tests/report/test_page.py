"""The report page: complete, the same on every run, and inert whatever the answers contain."""

import html
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reprotune.params.document import Document
from reprotune.report.page import render_report, verdict
from reprotune.results.read import load_results, load_speed
from reprotune.statistics.paired import paired_test

Browser = Callable[[Path, int], str]


@pytest.fixture
def page(workspace: Path) -> str:
    return render_report(load_results(workspace / "data"), load_speed(workspace / "data"), Document.read())


def test_a_rerun_gives_the_same_bytes(workspace: Path, page: str) -> None:
    assert render_report(load_results(workspace / "data"), load_speed(workspace / "data"), Document.read()) == page


def test_hostile_text_becomes_no_element_and_no_attribute(page: str, check_inert: Callable[[str], None]) -> None:
    check_inert(page)
    assert "{{ 7 * 7 }}" in page
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069]", page)
    assert "⟨U+0000⟩" in page
    assert "⟨U+202E⟩" in page


def test_shows_what_was_run_and_the_results(page: str) -> None:
    text = html.unescape(re.sub(r"<[^>]+>", " ", page))
    text = " ".join(text.split())
    for expected in (
        "The fine-tuned model is clearly better than the base model",
        "12.4",
        "57.9",
        "+45.5",
        "interval 53.7 to 62.1",
        "standard error 2.80, clustered by category 3.10",
        "offline_composite",
        "at equal length 86.0% (75.0% to 92.0%)",
        "Health of the scorer",
        "another row's reference scores low 75%",
        "from 4.203 before training",
        "Rejected because: output is empty 7".lower(),
        "near duplicate groups 5",
        "Train Validation Test rows 802 71 60",
        "rows with marker: ### Instruction: 1",
        "padding share: dynamic 28.2% 28.2% 28.2%",
        "tokens per second",
        "finetune.learning_rate 0.0005",
        "stopped at the token limit",
        "empty answer",
    ):
        assert expected in text, expected
    assert page.count("<li data-number=") == 60


@pytest.mark.parametrize(
    ("pairs", "kind", "words"),
    [
        ([(0.0, 80.0)] * 2, "noise", "too few rows"),  # t-interval: [80, 80]
        ([(40.0, 80.0)] * 40, "better", "clearly better"),
        ([(80.0, 40.0)] * 40, "worse", "clearly worse"),
        ([(40.0, 80.0), (80.0, 40.0)] * 20, "noise", "no more than noise"),
        ([(40.0, 40.0)] * 40, "noise", "the same on every row"),
        ([], "noise", "no scored row"),
    ],
)
def test_the_verdict_is_that_of_the_paired_test(pairs: list[tuple[float, float]], kind: str, words: str) -> None:
    found = verdict({"verdict": paired_test(pairs, seed=1, span=100).verdict})
    assert found[0] == kind
    assert words in found[1]


def test_nulls_are_shown_as_such(workspace: Path) -> None:
    path = workspace / "data/judgements/metrics.json"
    judged: dict[str, Any] = json.loads(path.read_text())
    none = dict.fromkeys(
        ("score", "stderr", "stderr_clustered", "ci95_low", "ci95_high", "smallest_detectable", "p_value")
    )
    judged["base"] |= none
    judged["difference"] |= none | {"verdict": "cannot be said"}
    judged["categories"]["spelling"] |= {"base": None, "finetuned": None}
    path.write_text(json.dumps(judged))
    page = render_report(load_results(workspace / "data"), load_speed(workspace / "data"), Document.read())
    assert "has no scored row in common with the base model" in page
    assert "None" not in re.sub(r"(?s)<style>.*?</style>", "", page)


@pytest.mark.slow
def test_in_a_browser_only_the_page_s_own_script_runs(page: str, tmp_path: Path, chromium_dom: Browser) -> None:
    path = tmp_path / "report.html"
    path.write_text(page, encoding="utf-8")
    dom = chromium_dom(path, 1280)
    assert "<title>Reprotune report</title>" in dom
    assert re.search(r'<output id="count">60 rows</output>', dom)  # written by the script: its hash fits the policy


@pytest.mark.slow
def test_in_a_browser_rows_can_be_searched_and_ordered(workspace: Path, page: str, chromium_dom: Browser) -> None:
    scores = load_results(workspace / "data").scores("finetuned")
    acts = """<script>
      search.value = "PASSIVE sentence"; search.dispatchEvent(new Event("input"));
      order.value = "finetuned down"; order.dispatchEvent(new Event("change"));
      document.title = [count.textContent, list.firstElementChild.dataset.finetuned,
                        rows.filter((row) => !row.hidden).every((row) => texts.get(row).includes("passive"))].join("/");
    </script></body>"""
    path = workspace / "acted.html"
    path.write_text(re.sub(r"<meta http-equiv[^>]*>", "", page).replace("</body>\n</html>", acts), encoding="utf-8")
    dom = chromium_dom(path, 1280)
    found = page.count('dir="auto">Rewrite the sentence in the passive voice.</span>')
    assert f"<title>{found} of 60 rows/{max(scores)}/true</title>" in dom


@pytest.mark.slow
@pytest.mark.parametrize("width", [320, 400, 1280])
def test_in_a_browser_nothing_is_wider_than_the_window(
    page: str, width: int, width_in_frame: Callable[[str, int], int]
) -> None:
    opened = re.sub(r"<meta http-equiv[^>]*>", "", page).replace("<details>", "<details open>")
    assert width_in_frame(opened, width) <= width
