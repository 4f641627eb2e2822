"""Pages as a browser sees them, and the check that no text in them has become markup."""

import base64
import html
import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
HEADLESS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture
def chromium_dom(tmp_path: Path) -> Callable[[Path, int], str]:
    """Return the document that Chromium has after it has loaded a page in a window of some width and run its script."""
    if CHROMIUM is None:
        pytest.skip("needs Chromium, which is not installed")
    command = [
        CHROMIUM,
        *HEADLESS,
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


class Tab:
    """A page in headless Chromium that is driven through its debugging protocol, over pipes."""

    def __init__(self, profile: Path, width: int = 1280, height: int = 900, dark: bool = False) -> None:
        assert CHROMIUM is not None
        to_browser, from_browser = os.pipe(), os.pipe()
        command = [CHROMIUM, *HEADLESS, f"--user-data-dir={profile}", "--remote-debugging-pipe", "about:blank"]
        script = f'exec "$0" "$@" 3<&{to_browser[0]} 4>&{from_browser[1]}'
        self._process = subprocess.Popen(
            ["/bin/bash", "-c", script, *command],
            pass_fds=(to_browser[0], from_browser[1]),
            stderr=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        os.close(to_browser[0])
        os.close(from_browser[1])
        self._out, self._in = os.fdopen(to_browser[1], "wb", 0), os.fdopen(from_browser[0], "rb")
        self._number = 0
        self._session: str | None = None
        pages = [page for page in self.call("Target.getTargets")["targetInfos"] if page["type"] == "page"]
        attached = self.call("Target.attachToTarget", targetId=pages[0]["targetId"], flatten=True)
        self._session = attached["sessionId"]
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.call("Emulation.setDeviceMetricsOverride", **size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Call a method of the protocol and return its result; events on the way are passed over."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session is not None:
            message["sessionId"] = self._session
        self._out.write(json.dumps(message).encode() + b"\0")
        while True:
            told = json.loads(self._read())
            if told.get("id") == self._number:
                assert "error" not in told, f"{method}: {told['error']}"
                return told["result"]

    def _read(self) -> bytes:
        found = bytearray()
        while (character := self._in.read(1)) != b"\0":
            assert character, "Chromium has ended"
            found += character
        return bytes(found)

    def open(self, url: str) -> None:
        self.call("Page.navigate", url=url)

    def run(self, expression: str) -> Any:
        """Return the value of an expression of JavaScript."""
        told = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in told, told["exceptionDetails"]
        return told["result"].get("value")

    def wait(self, expression: str, seconds: float = 60) -> None:
        """Wait until an expression is true."""
        deadline = time.monotonic() + seconds
        while not self.run(expression):
            assert time.monotonic() < deadline, f"{expression} stays false:\n{self.run('document.body.innerText')}"
            time.sleep(0.05)

    def press(self, key: str, code: int) -> None:
        """Press and release a key."""
        text = {"text": "\r"} if key == "Enter" else {}
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code, **text)

    def type(self, text: str) -> None:
        """Write into whatever has the focus."""
        self.call("Input.insertText", text=text)

    def picture(self) -> bytes:
        """Return what is seen, as PNG."""
        return base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        self._out.close()
        self._in.close()


@pytest.fixture
def open_tab(tmp_path: Path) -> Iterator[Callable[..., Tab]]:
    """Return what opens a tab, given the arguments of `Tab` but its profile."""
    if CHROMIUM is None:
        pytest.skip("needs Chromium, which is not installed")
    opened: list[Tab] = []

    def make(**arguments: Any) -> Tab:
        opened.append(Tab(tmp_path / f"profile-{len(opened)}", **arguments))
        return opened[-1]

    yield make
    for tab in opened:
        tab.close()
