"""The page in headless Chromium: what a person sees and does."""

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests

from reprotune.chat.models import Model
from reprotune.generation.decoding import DecodingSettings, answer_text, generate
from reprotune.preference.votes import read_votes
from tests.builders.browser import Tab
from tests.builders.chat_project import running

HOSTILE = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"
READY = "document.getElementById('hint')?.textContent.includes('goes to base and finetuned')"
DONE = "document.querySelectorAll('.answer').length && !document.querySelector('.writing') && {stop}.hidden".format(
    stop="document.getElementById('stop')"
)
ENTER, ESCAPE = ("Enter", 13), ("Escape", 27)


def texts(tab: Tab, selector: str) -> list[str]:
    found: list[str] = tab.run(f"[...document.querySelectorAll({selector!r})].map((one) => one.textContent)")
    return found


def setting(tab: Tab, name: str, value: Any) -> None:
    tab.run(f"document.getElementById({name!r}).value = {str(value)!r}")


@pytest.fixture
def tab(open_tab: Callable[..., Tab], address: str) -> Tab:
    tab = open_tab()
    tab.open(f"{address}/")
    tab.wait(READY)
    return tab


def test_both_models_answer_side_by_side(tab: Tab, model: Model, address: str) -> None:
    """By keyboard alone: the message has the focus, Enter sends; then the prompt that was sent, on demand."""
    setting(tab, "max-tokens", 9)
    tab.type("Name a colour.")
    tab.press(*ENTER)
    tab.wait(DONE)
    assert texts(tab, ".answer .name") == ["base", "finetuned"]
    prompt = model.prompts.of_messages([{"role": "user", "content": "Name a colour."}])
    greedy = DecodingSettings(9, 1, model.tokenizer.end_of_text)
    answer = answer_text(model.tokenizer.decode(generate(model.network, [prompt.ids], greedy)[0].token_ids), "")
    assert texts(tab, ".answer > .text")[1] == answer
    assert all("9 tokens" in fact and "cut" in fact for fact in texts(tab, ".facts"))
    tab.run("document.querySelectorAll('.prompt summary')[1].click()")
    tab.wait("document.querySelectorAll('.prompt pre')[1].textContent")
    assert texts(tab, ".prompt pre")[1] == prompt.text
    assert tab.run("document.activeElement.id") == "message"
    tab.run("document.getElementById('anew').click()")
    assert texts(tab, ".round") == []


def test_a_blind_pair_is_voted_on_by_keyboard_and_then_shown(tab: Tab, model: Model, project: Path) -> None:
    votes = project / "data/votes/chat.jsonl"
    votes.unlink(missing_ok=True)
    setting(tab, "max-tokens", 9)
    setting(tab, "voter", "Ada")
    tab.run("document.getElementById('blind').click()")
    tab.run("document.getElementById('message').focus()")
    tab.type("Name a colour.")
    tab.press(*ENTER)
    tab.wait("!!document.querySelector('.ballot')")
    assert texts(tab, ".answer .name") == ["Answer 1", "Answer 2"]
    shown = tab.run("document.querySelector('.round').innerText")
    assert not any(word in shown for word in ("base", "finetuned", "tokens", "Prompt"))
    tab.run("document.querySelector('[data-choice=second]').focus()")
    tab.press(*ENTER)
    tab.wait("document.querySelector('.ballot [role=status]').textContent")
    names = [name.partition(": ")[2] for name in texts(tab, ".answer .name")]
    assert sorted(names) == ["base", "finetuned"]
    prompt = model.prompts.of_messages([{"role": "user", "content": "Name a colour."}])
    greedy = DecodingSettings(9, 1, model.tokenizer.end_of_text)
    answer = answer_text(model.tokenizer.decode(generate(model.network, [prompt.ids], greedy)[0].token_ids), "")
    assert texts(tab, ".answer > .text")[names.index("finetuned")] == answer
    (vote,) = read_votes(votes.parent, {})[0]
    assert (vote.voter, vote.choice) == ("Ada", names[1])
    assert texts(tab, ".ballot button") == []
    tab.run("document.querySelectorAll('.prompt summary')[1].click()")
    tab.wait("document.querySelectorAll('.prompt pre')[1].textContent")
    assert texts(tab, ".prompt pre")[1] == prompt.text


def test_an_answer_that_failed_is_not_voted_on(tab: Tab) -> None:
    setting(tab, "max-tokens", 200)
    setting(tab, "temperature", 1)
    tab.run("document.getElementById('blind').click()")
    tab.run("document.getElementById('message').focus()")
    tab.type("too long " * 300)
    tab.press(*ENTER)
    tab.wait("!!document.querySelector('.round > .note')")
    assert "no vote on this pair" in texts(tab, ".round > .note")[0]
    assert tab.run("document.querySelectorAll('.ballot').length") == 0


def test_escape_stops_and_frees_the_slots(tab: Tab, address: str) -> None:
    setting(tab, "max-tokens", 200)
    setting(tab, "temperature", 1)
    tab.type("Write at length.")
    tab.press(*ENTER)
    tab.wait("document.querySelectorAll('.writing').length === 2")
    tab.press(*ESCAPE)
    tab.wait(DONE, seconds=20)
    said = texts(tab, ".facts")
    assert all(fact == "stopped" or fact.startswith("200 tokens") for fact in said)
    tab.wait("fetch('/health').then((told) => told.json()).then((told) => told.models.base.running === 0)", seconds=20)


def test_hostile_text_stays_text(tab: Tab) -> None:
    setting(tab, "max-tokens", 2)
    tab.type(HOSTILE)
    tab.press(*ENTER)
    tab.wait(DONE)
    assert texts(tab, ".said") == [HOSTILE]
    assert tab.run("document.querySelectorAll('#rounds img, #rounds script').length") == 0
    assert tab.run("document.title") == "Reprotune chat"


def test_what_goes_wrong_is_told_beside_the_answer(tab: Tab) -> None:
    tab.type("too long " * 300)
    tab.press(*ENTER)
    tab.wait(DONE)
    assert all("the model reads 256" in said for said in texts(tab, ".fault"))


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("dark", [False, True])
def test_it_fits_every_window_and_its_text_can_be_read(
    open_tab: Callable[..., Tab], address: str, width: int, dark: bool
) -> None:
    tab = open_tab(width=width, dark=dark)
    tab.open(f"{address}/")
    tab.wait(READY)
    setting(tab, "max-tokens", 5)
    tab.type("W" * 500)
    tab.press(*ENTER)
    tab.wait(DONE)
    assert tab.run("document.documentElement.scrollWidth") <= width
    columns = tab.run("new Set([...document.querySelectorAll('.answer')].map((one) => one.offsetLeft)).size")
    assert columns == (2 if width > 600 else 1)
    for selector in (".said", ".answer > .text", ".answer .name", ".facts", ".prompt summary", "#send", ".note"):
        ink, page = tab.run(f"({COLOURS})({selector!r})")
        assert contrast(ink, page) >= 4.5, (selector, ink, page)
    assert struct.unpack(">II", tab.picture()[16:24]) == (width, 900)
    tab.run("document.getElementById('settings').open = true")
    tab.run("document.getElementById('blind').click()")
    tab.type("A pair to vote on.")
    tab.press(*ENTER)
    tab.wait("!!document.querySelector('.ballot')")
    assert tab.run("document.documentElement.scrollWidth") <= width
    for selector in (".ballot button", ".fields .tick"):
        ink, page = tab.run(f"({COLOURS})({selector!r})")
        assert contrast(ink, page) >= 4.5, (selector, ink, page)


COLOURS = """(selector) => {
  const place = document.querySelector(selector);
  let behind = place;
  while (getComputedStyle(behind).backgroundColor === 'rgba(0, 0, 0, 0)') behind = behind.parentElement;
  const numbers = (text) => text.match(/[\\d.]+/g).slice(0, 3).map(Number);
  return [numbers(getComputedStyle(place).color), numbers(getComputedStyle(behind).backgroundColor)];
}"""


def contrast(ink: list[float], page: list[float]) -> float:
    """Return the contrast of WCAG 2.1, 1 to 21; 4.5 is what it asks of text."""
    lights = sorted(luminance(colour) for colour in (ink, page))
    return (lights[1] + 0.05) / (lights[0] + 0.05)


def luminance(colour: list[float]) -> float:
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (value / 255 for value in colour)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_the_page_allows_nothing_from_elsewhere(address: str) -> None:
    response = requests.get(f"{address}/", timeout=30)
    policy = response.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert requests.get(f"{address}/chat.js", timeout=30).headers["content-type"].startswith("text/javascript")


def test_only_chat_has_a_page(project: Path) -> None:
    with running(project, "base") as (address, _):
        assert requests.get(f"{address}/", timeout=30).status_code == 404
        assert [one["id"] for one in requests.get(f"{address}/v1/models", timeout=30).json()["data"]] == ["base"]
