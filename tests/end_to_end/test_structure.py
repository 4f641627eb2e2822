"""dvc.yaml, params.yaml, the code and the README tell the same story."""

import re
from pathlib import Path

import pytest
from ruamel.yaml import YAML

pytestmark = pytest.mark.pipeline

ROOT = Path(__file__).resolve().parents[2]

SHOW_ALL = ("report", "card")
"""Stages that show all params."""


@pytest.fixture(scope="module")
def stages() -> dict[str, dict]:
    """The stages of dvc.yaml, a `foreach` stage as its `do`."""
    stages = YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"]
    return {name: stage.get("do", stage) | {"items": list(stage.get("foreach", []))} for name, stage in stages.items()}


def test_sections_of_params_are_those_that_stages_declare(stages):
    params = YAML(typ="safe").load(ROOT / "params.yaml")
    sections = {section for section in params if section != "fetch"} | {f"fetch.{item}" for item in params["fetch"]}
    declared = {
        param.replace("${key}", item)
        for name, stage in stages.items()
        if name not in SHOW_ALL
        for param in stage["params"]
        for item in stage["items"] or [""]
    }
    also = {
        "fetch.dataset.sources": "split reads their roles",
        "generate.max_new_tokens": "export tells it others",
        "fetch.benchmark.source": "benchmark asks only where there is one",
        "fetch.benchmark.preparation": "benchmark asks in its way",
        "format.template": "benchmark asks in the trained prompt",
        "format.response_header": "benchmark asks in the trained prompt",
    }
    assert declared - also.keys() == sections
    for name in SHOW_ALL:
        assert set(stages[name]["params"]) == set(params)


def test_commands_are_plain_module_calls(stages):
    """No shell, no environment variables: nothing outside params.yaml switches a result."""
    for name, stage in stages.items():
        argument = r" \$\{key\}" if stage["items"] else ""
        assert re.fullmatch(rf"python -m stages\.{name}{argument}", stage["cmd"])
        assert (ROOT / f"stages/{name}.py").is_file()


def test_costly_stages_keep_their_outs_in_the_cache(stages):
    """An uncached out cannot be restored from a remote, so the stage would run again on another machine."""
    for name, stage in stages.items():
        if name != "report":
            assert all(isinstance(out, str) for out in stage["outs"])
            assert "metrics" not in stage


def test_declared_deps_are_the_import_closures(clone):
    assert clone.run("reprotune", "deps", "--check").stdout.startswith("dvc.yaml: the deps of every stage are exactly")


def test_readme_shows_the_graph_of_dvc_dag(clone):
    readme = (clone.root / "README.md").read_text(encoding="utf-8")
    shown = re.search(r"<!-- dvc dag -->\n(.*?)<!-- /dvc dag -->", readme, re.DOTALL)
    assert shown, "README.md has no block between <!-- dvc dag --> and <!-- /dvc dag -->"
    assert shown[1].strip() == clone.run("dvc", "dag", "--md").stdout.strip()
