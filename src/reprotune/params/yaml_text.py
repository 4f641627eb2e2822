"""YAML 1.2 as DVC reads it: documents into plain values, and values as YAML spells them."""

import re
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from reprotune.errors import UserError

PARAMS_FILE = Path("params.yaml")


def read_document(path: Path = PARAMS_FILE) -> Any:
    """Parse a YAML 1.2 file (so `1e-3` is a number, as it is for DVC) into plain dictionaries and lists."""
    if not path.is_file():
        raise UserError(
            f"{path} is missing: run from the folder that holds it, or restore it with `git checkout {path}`"
        )
    try:
        return YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except YAMLError as error:
        raise UserError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from error


def spelled(value: Any) -> str:
    """Return a value as YAML spells it."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return re.sub(r"e([-+])0", r"e\1", repr(value)) if isinstance(value, float) else str(value)
