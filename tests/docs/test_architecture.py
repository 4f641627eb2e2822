"""The drawing in docs/architecture.svg shows the layers that the stages import."""

import re

from ruamel.yaml import YAML

from tests.builders.manual import ROOT

PACKAGE = "src/reprotune/"
JOINED = ("records, scratch, untrusted", "artifacts, sandbox", "errors, files, memory, temporary")
"""Single modules of the ground floor that share a row of the drawing."""


def test_dots_are_the_layers_of_the_import_closures() -> None:
    drawing = (ROOT / "docs/architecture.svg").read_text(encoding="utf-8")
    dots: dict[str, set[str]] = {}
    for stage, layer in re.findall(r'data-stage="([^"]+)" data-layer="([^"]+)"', drawing):
        dots.setdefault(stage, set()).add(layer)
    del dots["commands"]
    stages = YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"]
    assert dots == {name: layers(stage.get("do", stage)["deps"]) for name, stage in stages.items()}


def layers(deps: list[str]) -> set[str]:
    found = {re.split(r"[/.]", dep.removeprefix(PACKAGE))[0] for dep in deps if dep.startswith(PACKAGE)}
    rows = {layer: row for row in JOINED for layer in row.split(", ")}
    return {rows.get(layer, layer) for layer in found}
