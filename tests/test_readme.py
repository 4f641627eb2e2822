"""What the README states and a program can check."""

import re
from pathlib import Path

from reprotune.params.presets import list_presets
from reprotune.params.reference import markdown_table

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def block(name: str) -> str:
    found = re.search(rf"<!-- {name} -->\n(.*?)<!-- /{name} -->", README, re.DOTALL)
    assert found, f"README.md has no block {name}"
    return found[1]


def test_the_params_table_is_current() -> None:
    assert block("params").strip() == markdown_table().strip(), "paste `reprotune params --markdown` between the marks"


def test_every_preset_is_named() -> None:
    assert all(f"`{name}`" in README for name in (preset.name for preset in list_presets()))


def test_every_file_it_links_to_exists() -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", README)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []
