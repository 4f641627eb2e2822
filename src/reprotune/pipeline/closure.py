"""The import closure of a stage: every file of this repository whose content can change what the stage does.

DVC re-runs a stage when one of its deps changes, and trusts the list that it is given. This module derives the list
from the code: a static walk over the imports (also those inside functions), without importing anything. It cannot see
a module that is imported by a name in a string, so only the command line, which is no part of any stage, does that.

Package data (templates, rubrics) belongs to each module, in the same folder or above, that names the file or a folder
on the way to it in a string literal: `"rubrics/reference.jinja"`, or `"rubrics"` for all of its files.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

from reprotune.errors import UserError
from reprotune.scratch import EXEMPT

PACKAGE = Path("src/reprotune")
SOURCE_FOLDERS = {"reprotune": Path("src"), "stages": Path()}
"""Top-level package -> the folder that holds it, relative to the root of the repository."""


def stage_closure(stage: str, root: Path) -> set[str]:
    """Return the files that `stages/<stage>.py` consists of, as POSIX paths relative to `root`; see `code_closure`."""
    return code_closure(f"stages.{stage}", root, f"stage {stage}")


def code_closure(start: str, root: Path, needed_by: str) -> set[str]:
    """Return the files that a first-party module consists of, with all that it imports, relative to `root`.

    Raises `UserError` if a file is not valid Python or imports a first-party module that does not exist; `needed_by`
    says whose it is.
    """
    waiting = [start]
    seen: set[str] = set()
    files: set[str] = set()
    while waiting:
        module = waiting.pop()
        if module in seen or module in EXEMPT:
            continue
        seen.add(module)
        path = _module_file(module, root)
        if path is None:
            folder = _module_path(module, root)
            if not folder.is_dir():  # a folder without __init__.py is a package all the same
                missing = folder.relative_to(root).with_suffix(".py").as_posix()
                raise UserError(f"{missing} is missing, but {needed_by} needs it: restore it from Git")
            continue
        tree = _parse(path, root)
        waiting += _imported_modules(tree, module, path, root)
        if tree.body:
            files.add(path.relative_to(root).as_posix())
            files |= {data.relative_to(root).as_posix() for data in _named_data(tree, path, root)}
    return files


def unclaimed_data(root: Path) -> list[str]:
    """Return the package data that no module names, so that no closure can contain it."""
    claimed: set[Path] = set()
    for path in (root / PACKAGE).rglob("*.py"):
        claimed |= _named_data(_parse(path, root), path, root)
    return sorted(path.relative_to(root).as_posix() for path in _data_files(root / PACKAGE) if path not in claimed)


def _module_file(module: str, root: Path) -> Path | None:
    """Return the file of a first-party module or package, or None if there is none."""
    if module.partition(".")[0] not in SOURCE_FOLDERS:
        return None
    path = _module_path(module, root)
    for candidate in (path.with_name(f"{path.name}.py"), path / "__init__.py"):
        if candidate.is_file():
            return candidate
    return None


def _module_path(module: str, root: Path) -> Path:
    """Return the path of a first-party module without the suffix `.py`."""
    return (root / SOURCE_FOLDERS[module.partition(".")[0]]).joinpath(*module.split("."))


def _parse(path: Path, root: Path) -> ast.Module:
    try:
        return ast.parse(path.read_text(encoding="utf-8"))
    except SyntaxError as error:
        raise UserError(f"{path.relative_to(root)} line {error.lineno} is not valid Python: {error.msg}") from error


def _imported_modules(tree: ast.Module, module: str, path: Path, root: Path) -> Iterator[str]:
    """Yield the first-party modules that a module runs: those it imports, and the packages that contain them."""
    yield from _parents(module)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = list(_from_import(node, module, path, root))
        else:
            continue
        for name in names:
            if name.partition(".")[0] in SOURCE_FOLDERS:
                yield name
                yield from _parents(name)


def _from_import(node: ast.ImportFrom, module: str, path: Path, root: Path) -> Iterator[str]:
    """Yield what `from source import name` runs: the source, and `source.name` if that is a module."""
    source = node.module or ""
    if node.level:
        package = module.split(".") if path.name == "__init__.py" else module.split(".")[:-1]
        anchor = package[: len(package) - node.level + 1]
        source = ".".join([*anchor, *([source] if source else [])])
    yield source
    for alias in node.names:
        if _module_file(f"{source}.{alias.name}", root):
            yield f"{source}.{alias.name}"


def _parents(module: str) -> Iterator[str]:
    while "." in module:
        module = module.rpartition(".")[0]
        yield module


def _data_files(folder: Path) -> list[Path]:
    return [
        path
        for path in folder.rglob("*")
        if path.is_file() and path.suffix not in (".py", ".pyc") and not path.name.startswith(".")
    ]


def _named_data(tree: ast.Module, path: Path, root: Path) -> set[Path]:
    """Return the package data that a module's string literals name (see the docstring of this module)."""
    if not path.is_relative_to(root / PACKAGE):
        return set()
    literals = {
        node.value.strip("/")
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    named = set()
    for data in _data_files(path.parent):
        relative = data.relative_to(path.parent)
        if any(step.as_posix() in literals for step in (relative, *relative.parents[:-1])):
            named.add(data)
    return named
