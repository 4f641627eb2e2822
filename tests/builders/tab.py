"""A tab of a headless Chromium that a test drives as a person would: real keys, clicks, reloads and downloads."""

import fcntl
import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.builders.browser import CHROMIUM

PATIENCE = 60
"""Seconds until a test gives up waiting."""


class Tab:
    """Speaks Chromium's DevTools protocol through a pipe, so that no port and no further package is needed."""

    def __init__(self, profile: Path, downloads: Path) -> None:
        self.downloads = downloads
        to_read, self._write = self._pipe()
        self._read, to_write = self._pipe()
        flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync"]
        flags += ["--disable-background-networking", "--disable-component-update", f"--user-data-dir={profile}"]
        flags += ["--remote-debugging-pipe", "about:blank"]
        self._process = subprocess.Popen(
            ["bash", "-c", f'exec "$0" "$@" 3<&{to_read} 4>&{to_write}', str(CHROMIUM), *flags],
            pass_fds=(to_read, to_write),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_read)
        os.close(to_write)
        self._buffer, self._number, self._session = b"", 0, ""
        self.errors: list[str] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")
        self.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(downloads))

    @staticmethod
    def _pipe() -> tuple[int, int]:
        """Return the ends of a pipe, above the numbers that the child gives to its own."""
        ends = os.pipe()
        moved = tuple(fcntl.fcntl(end, fcntl.F_DUPFD, 20) for end in ends)
        for end in ends:
            os.close(end)
        return moved[0], moved[1]

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Call a method and return its result; errors of the page that arrive meanwhile are kept in `errors`."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer["error"]
                return answer["result"]
            if answer.get("method") in ("Runtime.exceptionThrown", "Log.entryAdded"):
                self.errors.append(json.dumps(answer["params"])[:500])

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            part = os.read(self._read, 1 << 16)
            assert part, "Chromium has ended"
            self._buffer += part
        line, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(line)

    def open(self, page: Path, width: int = 1280, height: int = 900, dark: bool = False) -> None:
        """Load a page in a window of this size."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        scheme = "dark" if dark else "light"
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.call("Page.navigate", url=page.as_uri())
        self._wait_until_loaded()

    def reload(self) -> None:
        self.run("window.old = true")
        self.call("Page.reload")
        self._wait_for(lambda: self.run("!window.old"))
        self._wait_until_loaded()

    def _wait_until_loaded(self) -> None:
        self._wait_for(lambda: self.run("document.readyState == 'complete' && location.href != 'about:blank'"))

    def _wait_for(self, happened: Callable[[], Any]) -> Any:
        deadline = time.monotonic() + PATIENCE
        while not (found := happened()):
            assert time.monotonic() < deadline, "it did not happen"
            time.sleep(0.02)
        return found

    def run(self, script: str) -> Any:
        """Return the value of an expression in the page."""
        result = self.call("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def text(self, identifier: str) -> str:
        """Return the text of an element."""
        return str(self.run(f"document.getElementById({json.dumps(identifier)}).textContent"))

    def press(self, key: str) -> None:
        """Press a key: a character, `Enter` or `Tab`."""
        named = {"Enter": ("\r", 13), "Tab": ("", 9)}
        text, code = named[key] if key in named else (key, ord(key.upper()))
        self.call(
            "Input.dispatchKeyEvent",
            type="keyDown" if text else "rawKeyDown",
            key=key,
            text=text,
            windowsVirtualKeyCode=code,
        )
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key, windowsVirtualKeyCode=code)

    def write(self, text: str) -> None:
        """Type text into the element that has the focus."""
        self.call("Input.insertText", text=text)

    def click(self, selector: str) -> None:
        """Click on the middle of an element."""
        quoted = json.dumps(selector)
        self.run(f"document.querySelector({quoted}).scrollIntoView({{block: 'center'}})")
        box = self.run(f"JSON.stringify(document.querySelector({quoted}).getBoundingClientRect())")
        place = json.loads(box)
        x, y = place["x"] + place["width"] / 2, place["y"] + place["height"] / 2
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def downloaded(self) -> Path:
        """Wait for a download and return its file."""

        def finished() -> list[Path]:
            self.run("0")
            return [path for path in self.downloads.glob("*") if path.suffix != ".crdownload" and path.stat().st_size]

        return self._wait_for(finished)[0]

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._read)
        os.close(self._write)


@pytest.fixture
def tab(tmp_path: Path) -> Iterator[Tab]:
    """A tab in a browser of its own."""
    if CHROMIUM is None:
        pytest.skip("needs Chromium, which is not installed")
    downloads = tmp_path / "downloads"
    downloads.mkdir()
    found = Tab(tmp_path / "profile-of-tab", downloads)
    yield found
    found.close()
