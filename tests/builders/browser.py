"""Pages as a browser sees them, and the check that no text in them has become markup."""

import html
import re
import shutil
import subprocess
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture
def chromium_dom(tmp_path: Path) -> Callable[[Path, int], str]:
    """Return the document that Chromium has after it has loaded a page in a window of some width and run its script."""
    if CHROMIUM is None:
        pytest.skip("needs Chromium, which is not installed")
    command = [
        CHROMIUM,
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        f"--user-data-dir={tmp_path / 'profile'}",
        "--virtual-time-budget=2000",
        "--dump-dom",
    ]

    def load(page: Path, width: int) -> str:
        run = [*command, f"--window-size={width},900", page.as_uri()]
        return subprocess.run(run, capture_output=True, text=True, encoding="utf-8", timeout=120, check=True).stdout

    return load


@pytest.fixture
def width_in_frame(tmp_path: Path, chromium_dom: Callable[[Path, int], str]) -> Callable[[str, int], int]:
    """Return how wide a page becomes in a frame of a given width (windows have a minimum)."""

    def measure(page: str, width: int) -> int:
        frame = tmp_path / "frame.html"
        frame.write_text(
            f'<meta charset="utf-8"><iframe style="width:{width}px;height:900px;border:0" srcdoc="{html.escape(page)}">'
            "</iframe><script>onload = () => { document.title = "
            "document.querySelector('iframe').contentDocument.documentElement.scrollWidth }</script>",
            encoding="utf-8",
        )
        title = re.search(r"<title>(\d+)</title>", chromium_dom(frame, 1400))
        assert title is not None
        return int(title[1])

    return measure


class Elements(HTMLParser):
    """Collects every element with its attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


@pytest.fixture
def check_inert() -> Callable[[str], None]:
    """Fail unless a page has no elements, attributes or control characters but the template's."""

    def check(page: str) -> None:
        parser = Elements()
        parser.feed(page)
        tags = [tag for tag, _ in parser.found]
        assert tags.count("script") == 1
        assert tags.count("style") == 1
        assert not {"img", "iframe", "link", "object", "base", "form"} & set(tags)
        names = {name for _, attributes in parser.found for name in attributes}
        assert not any(name.startswith("on") for name in names)
        assert not {"src", "srcset", "action"} & names
        links = {attributes.get("href") or "#" for _, attributes in parser.found}
        assert {link for link in links if not link.startswith("#")} <= {"rows.csv"}
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069]", page)

    return check
