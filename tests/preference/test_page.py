"""The page of a ballot in a real browser: by keyboard, by mouse, on a phone, over a reload, with hostile text."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from reprotune.preference.ballot import Plan, make_ballot
from reprotune.preference.contestants import Question
from reprotune.preference.page import ballot_page
from reprotune.statistics.sequential import wins_needed
from tests.builders.run import HOSTILE
from tests.builders.tab import Tab

SHA = "ab" * 32


def questions() -> list[Question]:
    plain = [
        Question(f"{number:016x}", f"Question {number}?\n\nMaterial", f"Reference {number}", {
            "secret-one": f"First answer to {number}\n  indented", "secret-two": f"Other answer to {number}"
        })
        for number in range(30)
    ]  # fmt: skip
    hostile = [
        Question(f"f{number:015x}", text, text, {"secret-one": text, "secret-two": f"{text} again"})
        for number, text in enumerate(HOSTILE)
    ]
    return [*plain, *hostile]


@pytest.fixture(scope="module")
def html() -> str:
    return ballot_page(make_ballot(questions(), Plan(5, 0.05, None)), SHA)


@pytest.fixture
def page(html: str, tmp_path: Path) -> Path:
    path = tmp_path / "some.ballot.html"
    path.write_text(html, encoding="utf-8")
    return path


def start(tab: Tab, page: Path, width: int = 1280) -> None:
    tab.open(page, width)
    tab.click("#voter")
    tab.write("Ada L.")
    tab.press("Enter")


def test_names_no_model_and_no_control(html: str) -> None:
    for word in ("secret", "(reference)", "(nothing)", "identical"):
        assert word not in html, word
    assert html == ballot_page(make_ballot(questions(), Plan(5, 0.05, None)), SHA)


def test_holds_nothing_but_its_own_elements_and_loads_nothing(html: str) -> None:
    body = html[html.index("<body") :]
    tags = set(re.findall(r"<([a-z0-9]+)", re.sub(r"(?s)<script>.*</script>", "", body)))
    assert not tags & {"img", "iframe", "link", "object", "base", "style"}
    assert "http" not in html.replace("http-equiv", "")
    assert "default-src 'none'" in html
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e]", html)


def test_every_control_has_a_name_for_a_screen_reader(html: str) -> None:
    assert '<label for="voter">' in html and '<label for="lines">' in html
    assert 'id="progress" role="status" aria-live="polite"' in html
    for part in ("task-title", "first-title", "second-title"):
        assert f'aria-labelledby="{part}"' in html and f'id="{part}"' in html


@pytest.mark.slow
def test_votes_are_given_by_key_taken_back_and_kept_over_a_reload(tab: Tab, page: Path) -> None:
    start(tab, page)
    shown = int(tab.run("pairs.length"))
    assert tab.text("progress") == f"Pair 1 of {shown}, {shown} left."
    assert tab.run("document.activeElement.id") == "task-title", "a screen reader goes on at the new task"
    seen = []
    for key in "120x1":
        seen.append(tab.run("pairs[votes.length].id"))
        tab.press(key)
    tab.press("u")
    tab.press("u")
    tab.press("2")
    tab.press("7")
    tab.reload()
    assert tab.text("progress") == f"Pair 5 of {shown}, {shown - 4} left."
    rows = [json.loads(line) for line in str(tab.run("document.getElementById('lines').value")).splitlines()]
    assert [row["choice"] for row in rows] == ["left", "right", "same", "right"]
    assert [row["pair"] for row in rows] == seen[:4]
    assert {(row["ballot"], row["voter"]) for row in rows} == {(SHA, "Ada L.")}
    assert all(0 <= row["seconds"] < 60 for row in rows)
    tab.click("#download")
    file = tab.downloaded()
    assert file.name == "votes-abababab-ada-l.jsonl"
    assert [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()] == rows
    assert tab.errors == []


@pytest.mark.slow
def test_buttons_do_the_same_on_a_phone_and_nothing_is_wider_than_it(tab: Tab, page: Path) -> None:
    start(tab, page, width=390)
    for number, choice in enumerate(("left", "right", "same", "both_bad"), 1):
        tab.click(f"[data-choice={choice}]")
        assert tab.run("votes.length") == number
    tab.click("#undo")
    assert tab.run("votes.map((vote) => vote.choice).join()") == "left,right,same"
    widths = []
    while tab.run("votes.length < pairs.length"):
        widths.append(tab.run("document.documentElement.scrollWidth"))
        tab.press("0")
    assert max(widths) <= 390
    assert "That was the last pair" in tab.text("end") and tab.run("document.getElementById('vote').hidden")
    tab.press("1")
    assert tab.run("votes.length == pairs.length"), "there is nothing more to vote on"


@pytest.mark.slow
def test_hostile_text_is_shown_as_text(tab: Tab, page: Path) -> None:
    start(tab, page)
    shown = []
    while tab.run("votes.length < pairs.length"):
        shown.append(tab.text("prompt"))
        tab.press("x")
    assert HOSTILE[0] in shown and "Question 3?\n\nMaterial" in shown
    assert tab.run("document.title") == "Which answer is better?"
    assert tab.errors == []


@pytest.mark.slow
def test_the_page_shows_the_bound_that_the_count_uses_and_not_how_votes_stand(tab: Tab, page: Path) -> None:
    start(tab, page)
    for n in (0, 7, 8, 9, 20, 57, 300):
        assert tab.run(f"winsNeeded({n})") == wins_needed(n)
    for _ in range(9):
        tab.press("1")
    assert "9 votes for either answer so far. Of 9, one model would need 9" in tab.text("bound")
    bounds = set()
    for keys in ("1212121212", "1111122222"):
        for _ in range(len(keys)):
            tab.press("u")
        for key in keys:
            tab.press(key)
        bounds.add(tab.text("bound"))
    assert len(bounds) == 1, "which side the votes went to makes no difference"


@pytest.mark.slow
@pytest.mark.parametrize("width", [320, 400, 1280])
def test_the_first_screen_fits_the_window(html: str, width: int, width_in_frame: Callable[[str, int], int]) -> None:
    assert width_in_frame(re.sub(r"<meta http-equiv[^>]*>", "", html), width) <= width
