"""Values in params.yaml and other YAML documents: how they are read, flattened, compared and spelled.

YAML is read in version 1.2, as DVC reads it, so that `1e-3` is a number and `yes` is text.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from reprotune.errors import UserError

PARAMS_FILE = Path("params.yaml")


def read_document(path: Path = PARAMS_FILE) -> Any:
    """Read a YAML file into plain dictionaries and lists; raises `UserError` where it is missing or not valid."""
    if not path.is_file():
        raise UserError(
            f"{path} is missing: run from the folder that holds it, or restore it with `git checkout {path}`"
        )
    try:
        return YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except YAMLError as error:
        raise UserError(f"{path} {_yaml_fault(error)}") from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise UserError(
            f"{path} line {line} is not UTF-8 text (byte 0x{error.object[error.start]:02x}): save the file as UTF-8"
        ) from error


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
