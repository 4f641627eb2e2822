"""params.yaml with other values, for runs beside the pipeline; the file stays as it is."""

from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

from reprotune.errors import UserError
from reprotune.params.document import Document
from reprotune.params.values import PARAMS_FILE, flattened, read_document


def changed_params(changes: Mapping[str, Any], path: Path = PARAMS_FILE) -> Document:
    """Return the params of `path` with the values of some dotted keys changed, checked as a whole.

    Raises `UserError` if the file cannot be read, a key is not in it, or a value cannot be.
    """
    values = deepcopy(read_document(path))
    Document.parse("", values, path)
    known = flattened(values)
    for key, value in changes.items():
        if key not in known:
            raise UserError(f"{path} has no key {key!r}: `reprotune params` lists them")
        *parents, name = key.split(".")
        place = values
        for parent in parents:
            place = place[parent]
        place[name] = value
    return Document.parse("", values, path)
