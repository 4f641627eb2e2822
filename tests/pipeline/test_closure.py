"""Import closures of small trees, whose true closure is easy to see, and of this repository."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from reprotune.errors import UserError
from reprotune.pipeline.closure import stage_closure, unclaimed_data
from reprotune.scratch import EXEMPT

ROOT = Path(__file__).resolve().parents[2]
STAGES = sorted(path.stem for path in (ROOT / "stages").glob("*.py") if path.stem != "__init__")


def tree(root: Path, **files: str) -> Path:
    """Write files given as path -> text; `__` in a name stands for `/` and a name without an ending is a module."""
    for name, text in files.items():
        path = root / f"{name.replace('__', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root


def test_follows_every_kind_of_import_and_nothing_else(tmp_path: Path) -> None:
    tree(
        tmp_path,
        stages__one="import json\nimport reprotune.a\nfrom reprotune import b\nfrom reprotune.pack.c import name\n",
        src__reprotune__a="def f():\n    from reprotune.late import thing\n",
        src__reprotune__b="from .sibling import x\n",
        src__reprotune__pack__c="from . import d\nfrom ..up import y\n",
        src__reprotune__pack__d="",
        src__reprotune__late="thing = 1\n",
        src__reprotune__sibling="x = 1\n",
        src__reprotune__up="y = 1\nimport reprotune.console\n",
        src__reprotune__console="import reprotune.unseen\n",
        src__reprotune__unrelated="import reprotune.a\n",
    )
    (tmp_path / "src/reprotune/__init__.py").write_text("")
    (tmp_path / "src/reprotune/pack/__init__.py").write_text("'''Runs on import of the package.'''\n")
    modules = ("a", "b", "late", "pack/__init__", "pack/c", "sibling", "up")
    assert stage_closure("one", tmp_path) == {"stages/one.py", *(f"src/reprotune/{name}.py" for name in modules)}


def test_package_data_belongs_to_the_module_that_names_it(tmp_path: Path) -> None:
    tree(
        tmp_path,
        stages__one="import reprotune.judge.whole\n",
        stages__two="import reprotune.judge.single\n",
        stages__three="import reprotune.judge.built\n",
        stages__four="import reprotune.judge.silent\n",
        src__reprotune__judge__whole="from pathlib import Path\nFOLDER = Path(__file__).parent / 'rubrics'\n",
        src__reprotune__judge__single="FILE = 'rubrics/a.jinja'\n",
        src__reprotune__judge__built="def path(name):\n    return f'rubrics/{name}.jinja'\n",
        src__reprotune__judge__silent="'''Speaks of rubrics and a.jinja, but uses none.'''\n",
    )
    (tmp_path / "src/reprotune/judge/rubrics").mkdir()
    for name in ("a", "b"):
        (tmp_path / f"src/reprotune/judge/rubrics/{name}.jinja").write_text("x")

    def data(stage: str) -> set[str]:
        return {Path(path).name for path in stage_closure(stage, tmp_path) if path.endswith(".jinja")}

    assert data("one") == {"a.jinja", "b.jinja"}
    assert data("two") == {"a.jinja"}
    assert data("three") == {"a.jinja", "b.jinja"}
    assert data("four") == set()
    assert unclaimed_data(tmp_path) == []
    (tmp_path / "src/reprotune/judge/orphan.md").write_text("x")
    assert unclaimed_data(tmp_path) == ["src/reprotune/judge/orphan.md"]


def test_faults_are_named(tmp_path: Path) -> None:
    tree(tmp_path, stages__one="import reprotune.gone\n", stages__two="def broken(:\n", src__reprotune__there="")
    with pytest.raises(UserError, match=r"src/reprotune/gone\.py is missing"):
        stage_closure("one", tmp_path)
    with pytest.raises(UserError, match=r"stages/two\.py line 1 is not valid Python"):
        stage_closure("two", tmp_path)


def test_all_package_data_of_this_repository_is_claimed() -> None:
    assert unclaimed_data(ROOT) == ["src/reprotune/py.typed"]  # read by type checkers alone


@pytest.mark.slow
def test_the_modules_loaded_by_a_stage_lie_in_its_closure() -> None:
    """The oracle is Python itself: what an import of each stage really loads."""
    script = (
        "import importlib, json, sys\n"
        "def own():\n"
        "    return {n: m.__file__ for n, m in sys.modules.items() if n.split('.')[0] in ('reprotune', 'stages')}\n"
        f"for stage in {STAGES!r}:\n"
        "    importlib.import_module('stages.' + stage)\n"
        "    print(json.dumps([stage, own()]))\n"
        "    for name in own(): del sys.modules[name]\n"
    )
    output = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for stage, loaded in map(json.loads, output.splitlines()):
        files = {
            Path(path).resolve().relative_to(ROOT).as_posix()
            for name, path in loaded.items()
            if name not in EXEMPT and path and Path(path).read_text(encoding="utf-8")
        }
        assert f"stages/{stage}.py" in files
        assert files <= stage_closure(stage, ROOT)
