"""The house: rooms that are not too full, modules that are not too long, imports that run downwards without circles."""

import ast
from collections import Counter
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from reprotune.cli import REPROTUNE, Command, Group

SOURCE = Path(__file__).resolve().parents[1] / "src"
PACKAGE = SOURCE / "reprotune"
MOST_MODULES, MOST_LINES = 15, 400

LAYERS = (
    ("errors", "faults", "interrupts"),
    ("files", "memory", "temporary"),
    ("artifacts", "sandbox"),
    ("console", "records", "scratch", "untrusted"),
    ("params",),
    ("pipeline",),
    ("statistics",),
    ("compute",),
    ("dataset",),
    ("model",),
    ("training",),
    ("generation",),
    ("judging",),
    ("multiple_choice",),
    ("preference",),
    ("preflight",),
    ("runs",),
    ("results",),
    ("pages",),
    ("report",),
    ("compare",),
    ("sweep",),
    ("export",),
    ("chat",),
    ("cli",),
)
"""Folders and modules of the package from the bottom up; those of one layer do not import one another."""

RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")


FILES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def imports(module: str) -> set[str]:
    """Return the modules of the package that a module imports, also in functions and for type checkers only."""
    found = set()
    for node in ast.walk(ast.parse(FILES[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} line {node.lineno}: imports are absolute here"
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in FILES else str(node.module) for name in names}
    return {name for name in found if name.partition(".")[0] == "reprotune"}


IMPORTS = {module: imports(module) for module in FILES}


def room(module: str) -> str:
    """Return the folder or module right in the package; a module `command` belongs to the command line."""
    parts = module.split(".")
    return "cli" if parts[-1] == "command" else parts[1]


def test_every_room_has_its_place_in_the_list() -> None:
    assert {room(module) for module in FILES if module != "reprotune"} == set(RANK)


def test_imports_run_downwards() -> None:
    upward = [
        f"{module} imports {imported}"
        for module, found in IMPORTS.items()
        for imported in found
        if room(module) != room(imported) and RANK[room(module)] <= RANK[room(imported)]
    ]
    assert sorted(upward) == []


def test_no_modules_import_one_another_in_a_circle() -> None:
    try:
        TopologicalSorter(IMPORTS).prepare()
    except CycleError as error:
        pytest.fail(f"a circle: {' <- '.join(error.args[1])}")


def test_no_room_is_too_full_and_no_module_too_long() -> None:
    modules = Counter(path.parent for path in FILES.values() if path.name != "__init__.py")
    assert {str(folder): count for folder, count in modules.items() if count > MOST_MODULES} == {}
    lines = {module: len(path.read_text(encoding="utf-8").splitlines()) for module, path in FILES.items()}
    assert {module: count for module, count in lines.items() if count > MOST_LINES} == {}


def test_every_module_of_commands_is_in_the_table_of_commands() -> None:
    def modules(group: Group) -> set[str]:
        found: set[str] = set()
        for command in group.commands.values():
            found |= {f"reprotune.{command.module}"} if isinstance(command, Command) else modules(command)
        return found

    assert modules(REPROTUNE) == {module for module in FILES if module.endswith(".command")}
