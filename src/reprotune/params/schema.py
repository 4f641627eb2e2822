"""How a section of params.yaml is checked: strict types, and all faults of the section listed at once."""

from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from reprotune.errors import UserError
from reprotune.params.values import PARAMS_FILE, read_document


class Section(BaseModel):
    """Base of every section: refuses unknown keys, never converts a value, documents every field."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True)

    @classmethod
    def load(cls, name: str, path: Path = PARAMS_FILE) -> Self:
        """Read the section with the dotted `name`, e.g. `fetch.dataset`; raises `UserError` naming every fault."""
        value: Any = read_document(path)
        for key in name.split("."):
            if not isinstance(value, dict) or key not in value:
                raise UserError(f"{path}: section {name} is missing: add it (`reprotune params` shows every key)")
            value = value[key]
        return cls.parse(name, value, path)

    @classmethod
    def parse(cls, name: str, value: Any, path: Path = PARAMS_FILE) -> Self:
        """Check a section's value; raises `UserError` naming every fault."""
        try:
            return cls.model_validate(value)
        except ValidationError as error:
            faults = "; ".join(_sentence(name, dict(fault)) for fault in error.errors())
            raise UserError(f"{path}: {faults}") from error


def _sentence(section: str, fault: dict[str, Any]) -> str:
    location = ".".join([section, *(str(part) for part in fault["loc"])])
    if fault["type"] == "extra_forbidden":
        return f"{location} is not a known key (`reprotune params` lists them)"
    if fault["type"] == "missing":
        return f"{location} is missing"
    return f"{location}: {fault['msg'][0].lower()}{fault['msg'][1:]}, but it is {fault['input']!r}"
