"""Values in params.yaml and other YAML documents: how they are read, flattened, compared and spelled.

YAML is read in version 1.2, as DVC reads it, so that `1e-3` is a number and `yes` is text.
"""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.constructor import SafeConstructor
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import CollectionNode, Node

from reprotune.errors import UserError
from reprotune.files import read_text, size_words

PARAMS_FILE = Path("params.yaml")

YAML_BYTES = 256 << 10
"""Largest YAML document that is read: reading more takes minutes. This pipeline's largest, dvc.lock, has 32 kB."""
MOST_VALUES = 100_000
"""Values in one document, those counted again that YAML repeats by an alias."""
MOST_LEVELS = 100
"""Depth of one document."""


def read_document(path: Path = PARAMS_FILE) -> Any:
    """Read a YAML file into plain dictionaries and lists; raises `UserError` where it is missing or not valid."""
    if os.path.lexists(path):
        remedy = f"correct it, or set it aside with `git stash push {path}`, which restores the committed one"
    else:
        remedy = f"run from the folder that holds it, or restore it with `git checkout {path}`"
    return parsed_document(read_text(path, remedy, YAML_BYTES), str(path))


def parsed_document(text: str, where: str) -> Any:
    """Return the value of YAML 1.2 text; raises `UserError` naming `where` if it is not valid or goes beyond limits."""
    if len(text) > YAML_BYTES:
        raise UserError(f"{where} has more than {size_words(YAML_BYTES)}, which is the limit: restore it from Git")
    yaml = YAML(typ="safe", pure=True)
    yaml.Constructor = _BoundedConstructor
    try:
        return yaml.load(text)
    except YAMLError as error:
        raise UserError(f"{where} {_yaml_fault(error)}") from error
    except (_ExtentError, RecursionError) as error:
        raise UserError(
            f"{where} has more than {MOST_VALUES:,} values or {MOST_LEVELS} levels, aliases included: restore it from "
            "a commit that you trust"
        ) from error
    except (ValueError, TypeError, LookupError, AttributeError, OverflowError, AssertionError) as error:
        # what ruamel.yaml raises on a number, a date or a tag that it cannot make sense of
        raise UserError(f"{where} is not valid YAML: {' '.join(str(error).split())[:200]}") from error


class _ExtentError(Exception):
    """A document is larger than any honest one."""


class _BoundedConstructor(SafeConstructor):
    """Makes values of a document only after its extent is known: aliases can make a few bytes fill the memory."""

    def construct_document(self, node: Node) -> Any:
        _extent(node, {})
        return super().construct_document(node)


def _extent(node: Node, known: dict[int, tuple[int, int] | None]) -> tuple[int, int]:
    """Return the number of values and of levels in a node, each alias counted as what it stands for.

    Takes time in proportion to the text. Raises `_ExtentError` beyond the limits, and where a node holds itself.
    """
    if not isinstance(node, CollectionNode):
        return 1, 0
    if id(node) not in known:
        known[id(node)] = None  # being counted: whoever finds it has come in a circle
        inside = [item for entry in node.value for item in (entry if isinstance(entry, tuple) else (entry,))]
        found = [_extent(item, known) for item in inside]
        known[id(node)] = 1 + sum(values for values, _ in found), 1 + max((levels for _, levels in found), default=0)
    extent = known[id(node)]
    if extent is None or extent[0] > MOST_VALUES or extent[1] > MOST_LEVELS:
        raise _ExtentError
    return extent


def _yaml_fault(error: YAMLError) -> str:
    """Return what is wrong, and in which line where the parser says so."""
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
    where = f"line {mark.line + 1} " if mark is not None and hasattr(mark, "line") else ""
    return f"{where}is not valid YAML: {' '.join(str(problem or error).split())}"


def flattened(value: dict[str, Any], separator: str = ".", name: Callable[[str], str] = str) -> dict[str, Any]:
    """Return nested dictionaries as one level of joined keys, each part renamed by `name`."""
    flat: dict[str, Any] = {}
    for key, item in value.items():
        if isinstance(item, dict):
            inner = flattened(item, separator, name)
            flat |= {f"{name(key)}{separator}{rest}": leaf for rest, leaf in inner.items()}
        else:
            flat[name(key)] = item
    return flat


def same_value(one: Any, other: Any) -> bool:
    """Tell whether two values are equal in YAML, where `1` equals `1.0` but not `true`."""
    return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)


def spelled(value: Any) -> str:
    """Return a value as YAML spells it."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return re.sub(r"e([-+])0", r"e\1", repr(value)) if isinstance(value, float) else str(value)
