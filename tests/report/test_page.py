"""The report page: complete, the same on every run, and inert whatever the answers contain."""

import html
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reprotune.params.document import Document
from reprotune.report.page import category_lines, render_report, verdict
from reprotune.results.read import load_results, load_speed
from reprotune.statistics.paired import paired_test

Browser = Callable[[Path, int], str]
HASH = "0367bc50e6f6bc10b3b683fe9dbb668a"


@pytest.fixture
def page(workspace: Path) -> str:
    return rendered(workspace)


def rendered(workspace: Path) -> str:
    data = workspace / "data"
    return render_report(load_results(data), load_speed(data), Document.read(), HASH)


def test_a_rerun_gives_the_same_bytes(workspace: Path, page: str) -> None:
    assert rendered(workspace) == page


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
        "validation loss was 4.203, which is not drawn. It was lowest at step 120 with 1.312, and 1.335 at the end.",
        "Full fine-tuning for 3 epochs (180 steps), tested on 60 held-out rows",
        "Trained 2026-11-21 17:53 UTC on cpu, at commit 5b94df95 with uncommitted changes to params.yaml,",
        "Versions Python 3.11.7, torch 2.13.0+cpu",
        f"git log --oneline -S {HASH} -- dvc.lock",
        "No judge was asked: a score is 100 for an answer equal to its reference",
        "52.0 to 70.0 better",
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
    assert len(re.findall(r'<li id="row-\d+" data-number=', page)) == 60
    assert '<a href="rows.csv" download>' in page


def test_one_of_a_kind_is_singular(workspace: Path) -> None:
    path = workspace / "data/model/metrics.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"epochs": 1.0, "steps": 1}))
    path = workspace / "data/judgements/metrics.json"
    judged = json.loads(path.read_text())
    judged["difference"]["n"] = 1
    path.write_text(json.dumps(judged))
    text = " ".join(rendered(workspace).split())
    assert "for 1 epoch (1 step)," in text
    assert ", 1 pair<" in text
    assert not re.search(r"\b1 (epochs|steps|pairs|rows)\b", text)


def test_a_judge_is_named(workspace: Path) -> None:
    path = workspace / "data/judgements/metrics.json"
    judge = {"backend": "ollama", "model": "<b>llama3", "digest": None, "address": "local", "rubric": "reference"}
    judge |= {"rubric_sha256": "0", "temperature": 0.0, "repeats": 1, "expected_score": False, "fingerprints": []}
    path.write_text(json.dumps(json.loads(path.read_text()) | {"judge": judge, "method": "ollama:llama3:reference:0"}))
    page = rendered(workspace)
    assert "Judged by &lt;b&gt;llama3, asked through ollama" in page
    assert "Health of the judge" in page
    assert "No judge was asked" not in page


def test_a_category_leads_to_its_rows(workspace: Path, page: str) -> None:
    results = load_results(workspace / "data")
    lines = category_lines({**results.judged["categories"], "(none)": {"finetuned": 1.0}}, results.rows)
    assert [name for name, _, _, _ in lines][-1] == "(none)"
    for name, _, value, first in lines:
        row = next(row for row in results.rows if row.category == (None if name == "(none)" else name))
        assert (value, first) == (row.category or "", row.number)
    assert '<a href="#row-2" data-category="arithmetic">arithmetic</a>' in page
    assert '<option value="=">(none)</option>' in page


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
    page = rendered(workspace)
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
def test_in_a_browser_a_category_s_link_filters_and_a_row_s_address_opens_it(
    workspace: Path, page: str, chromium_dom: Browser
) -> None:
    acts = """<script>
      const link = document.querySelector('a[data-category="arithmetic"]');
      search.value = "no such word"; search.dispatchEvent(new Event("input"));
      link.click();
      const shown = rows.filter((row) => !row.hidden);
      const said = [count.textContent, new Set(shown.map((row) => row.dataset.category)).size];
      location.hash = "#row-1";
      addEventListener("hashchange", () => {
        const row = document.getElementById("row-1");
        document.title = [...said, row.hidden, row.querySelector("details").open].join("/");
      });
    </script></body>"""
    path = workspace / "acted.html"
    path.write_text(re.sub(r"<meta http-equiv[^>]*>", "", page).replace("</body>\n</html>", acts), encoding="utf-8")
    arithmetic = sum(row.category == "arithmetic" for row in load_results(workspace / "data").rows)
    assert f"<title>{arithmetic} of 60 rows/1/false/true</title>" in chromium_dom(path, 1280)


@pytest.mark.slow
@pytest.mark.parametrize("width", [320, 400, 1280])
def test_in_a_browser_nothing_is_wider_than_the_window(
    page: str, width: int, width_in_frame: Callable[[str, int], int]
) -> None:
    opened = re.sub(r"<meta http-equiv[^>]*>", "", page).replace("<details>", "<details open>")
    assert width_in_frame(opened, width) <= width


def test_checks_stand_beside_what_the_prompt_itself_would_get(workspace: Path, page: str) -> None:
    assert "Checks that need no judge" not in page
    path = workspace / "data/judgements/metrics.json"
    judged = json.loads(path.read_text())
    shares = {"base": 0.25, "finetuned": 0.5, "echo": 0.248, "empty": 0.0}
    figures = ("rows_strict", "rows_loose", "checks_strict", "checks_loose")
    judged["checks"] = {
        "n": 8,
        "n_checks": 9,
        **{model: dict.fromkeys(figures, share) for model, share in shares.items()},
        "kinds": {"words": {"n": 9, "base": 0.1, "finetuned": 0.2, "echo": 0.3}},
    }
    judged["pairwise"]["against"] = "<b>gpt</b>"
    path.write_text(json.dumps(judged))
    found = rendered(workspace)
    text = " ".join(html.unescape(re.sub(r"<[^>]+>", " ", found)).split())
    assert "The prompt itself as the answer 24.8% 24.8% 24.8% 24.8% No text 0.0%" in text
    assert "words 9 10.0% 20.0% 30.0%" in text
    assert "against <b>gpt</b>" in text and "<b>gpt" not in found
