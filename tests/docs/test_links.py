"""Links lead somewhere, on GitHub as on the site, and the manual leaves no preset or command out."""

import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from reprotune.params.presets import list_presets
from tests.builders.manual import MANUAL, PAGES, ROOT, anchors, links

README_LINES = 180
"""Without the graph, which DVC draws."""
TEXT = "\n".join(page.read_text(encoding="utf-8") for page in MANUAL)


def commands(*group: str) -> list[str]:
    """Return every command that `reprotune --help` lists, those of groups too."""
    asked = [sys.executable, "-m", "reprotune.cli", *group, "--help"]
    text = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
    if "COMMAND [ARGS]" not in text:
        return [" ".join(group)]
    names = re.findall(r"^  ([a-z][a-z-]*) {2,}\S", text, re.MULTILINE)
    return [command for name in names for command in commands(*group, name)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_resolves(page: Path) -> None:
    broken = []
    for link in links(page):
        url = urlsplit(link)
        if url.scheme or url.netloc:
            continue
        target = (page.parent / unquote(url.path)).resolve() if url.path else page
        inside = target.is_relative_to(ROOT) and target.exists()
        if not inside or (url.fragment and url.fragment not in anchors(target)):
            broken.append(link)
    assert broken == []


def test_every_page_of_the_manual_is_linked_from_its_index() -> None:
    linked = set(links(ROOT / "docs/index.md"))
    assert [page.name for page in MANUAL[1:] if page.name not in linked | {"index.md"}] == []


def test_every_preset_is_explained() -> None:
    assert [preset.name for preset in list_presets() if f"`{preset.name}`" not in TEXT] == []


def test_every_command_is_explained() -> None:
    names = commands()
    assert {"plan", "preset apply"} <= set(names)
    assert [name for name in names if not re.search(rf"\breprotune {name}\b", TEXT)] == []


def test_the_readme_stays_short() -> None:
    shown = re.sub(r"<!-- dvc dag -->.*?<!-- /dvc dag -->", "", MANUAL[0].read_text(encoding="utf-8"), flags=re.DOTALL)
    assert len(shown.splitlines()) <= README_LINES
