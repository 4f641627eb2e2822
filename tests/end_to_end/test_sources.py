"""Inputs that params.yaml names: no edit of a local one goes unnoticed, and `plan` says what `dvc repro` does."""

import json
import shutil
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.pipeline, pytest.mark.slow]

TARGETS = ("tokenize", "fetch@base")
"""All stages that read what params.yaml names, and the cheap ones after them."""
CHEAP = {"fetch@dataset", "fetch@base", "split", "format", "tokenize"}
TEMPLATE = "Q: {{ instruction }} {{ input }}\n{# header #}A: {{ response }}\n"

INPUTS = {
    "a dataset": ("fetch.dataset.source", "my rows.jsonl", "fetch@dataset"),
    "a dataset elsewhere": ("fetch.dataset.source", "{elsewhere}/rows.jsonl", "fetch@dataset"),
    "a template": ("format.template", "own.jinja", "format"),
    "a template elsewhere": ("format.template", "{elsewhere}/own: 1.jinja", "format"),
    "a base folder": ("fetch.base.source", "models/base", "fetch@base"),
    "a base folder elsewhere": ("fetch.base.source", "{elsewhere}/base", "fetch@base"),
}
"""The param, a local file or folder that it names, and the stage that reads it."""


def planned(clone: Any) -> tuple[set[str], set[str]]:
    """Return the cheap stages that run, and those that run or may run, as `plan` says; `--check` agrees with it."""
    done = clone.run("reprotune", "plan", "--json", "--check", check=False)
    states = {stage["name"]: stage["state"] for stage in json.loads(done.stdout)["stages"]}
    assert done.returncode == any(state != "up to date" for state in states.values())
    run = {name for name, state in states.items() if state == "run"}
    return run & CHEAP, {name for name, state in states.items() if state != "up to date"} & CHEAP


def repro_as_planned(clone: Any) -> set[str]:
    """Run the cheap stages and return those that ran; fails if that is not what was planned."""
    run, possible = planned(clone)
    ran = set(clone.repro(*TARGETS))
    assert run <= ran <= possible
    assert planned(clone) == (set(), set())
    return ran


def write_input(clone: Any, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    embedded = clone.root / "data/embedded"
    if path.suffix == ".jinja":
        path.write_text(TEMPLATE)
    elif path.suffix == ".jsonl":
        shutil.copy2(embedded / "dataset.jsonl", path)
    else:
        shutil.copytree(embedded / "base", path)


def edit_input(path: Path) -> None:
    if path.is_dir():
        path /= "config.json"
    text = path.read_text()
    path.write_text(text.replace("Q: ", "Question: ") if "Q: " in text else text + "\n")


@pytest.mark.parametrize("name", INPUTS)
def test_a_local_input_is_followed_or_refused(clone: Any, tmp_path: Path, name: str) -> None:
    param, spelled, stage = INPUTS[name]
    spelled = spelled.format(elsewhere=tmp_path / "elsewhere")
    write_input(clone, clone.root / spelled)
    clone.set_params({param: spelled})
    assert planned(clone)[0] == {stage}
    assert "Next: `reprotune deps --fix`" in " ".join(clone.run("reprotune", "plan").stdout.split())
    refused = clone.run("dvc", "repro", *TARGETS, check=False)
    assert refused.returncode != 0
    assert f"{stage.partition('@')[0]}" in refused.stderr
    assert f"error: {param} is {spelled}, but dvc.yaml does not list that" in refused.stderr
    assert "run `reprotune deps --fix`" in refused.stderr

    clone.run("reprotune", "deps", "--fix")
    assert stage in repro_as_planned(clone)
    assert repro_as_planned(clone) == set()
    edit_input(clone.root / spelled)
    assert stage in repro_as_planned(clone)
    assert repro_as_planned(clone) == set()


def test_a_url_is_fetched_once(clone: Any, tmp_path: Path) -> None:
    """What is behind it may change without notice; `sha256` is there for that."""
    rows = tmp_path / "rows.jsonl"
    write_input(clone, rows)
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        clone.set_params({"fetch.dataset.source": f"http://127.0.0.1:{server.server_port}/rows.jsonl"})
        assert repro_as_planned(clone) == {"fetch@dataset"}
        edit_input(rows)
        assert repro_as_planned(clone) == set()
        server.shutdown()


def test_the_embedded_inputs_are_followed(clone: Any) -> None:
    assert repro_as_planned(clone) == set()
    edit_input(clone.root / "data/embedded/dataset.jsonl")
    assert repro_as_planned(clone) == {"fetch@dataset"}
    edit_input(clone.root / "data/embedded/base")
    assert repro_as_planned(clone) == {"fetch@base", "format", "tokenize"}, "its tokenizer may be another"
