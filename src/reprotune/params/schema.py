"""How a section of params.yaml is checked: strict types, and all faults of the section listed at once."""

from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from reprotune.errors import UserError
from reprotune.params.values import PARAMS_FILE, read_document, spelled

SHOULD = {
    "bool_type": "true or false",
    "finite_number": "a finite number",
    "float_type": "a number",
    "greater_than": "above {gt:g}",
    "greater_than_equal": "at least {ge:g}",
    "int_type": "a whole number",
    "less_than": "below {lt:g}",
    "less_than_equal": "at most {le:g}",
    "literal_error": "{expected}",
    "model_type": "a section with keys of its own",
    "string_pattern_mismatch": "{digits} hexadecimal digits (0-9, a-f)",
    "string_too_short": "text that is not empty",
    "string_type": "text",
}
"""Kind of fault in pydantic -> what the value should be, with the limits that pydantic gives."""


class Section(BaseModel):
    """Base of every section: refuses unknown keys, never converts a value, documents every field."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )

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
        """Check the value of the section `name` (empty: the whole document); raises `UserError` naming every fault."""
        try:
            return cls.model_validate(value)
        except ValidationError as error:
            faults = "; ".join(_sentence(name, dict(fault)) for fault in error.errors())
            raise UserError(f"{path}: {faults}") from error


def _sentence(section: str, fault: dict[str, Any]) -> str:
    location = ".".join([*filter(None, [section]), *(str(part) for part in fault["loc"])])
    if fault["type"] == "extra_forbidden":
        return f"{location} is not a known key (`reprotune params` lists them)"
    if fault["type"] == "missing":
        return f"{location} is missing"
    limits = dict(fault.get("ctx", {}))
    if "pattern" in limits:
        limits["digits"] = limits["pattern"].partition("{")[2].partition("}")[0]
    if fault["type"] == "value_error":  # raised by a section about several keys together
        return f"{location}: {limits['error']}"
    value = fault["input"]
    shown = repr(value) if isinstance(value, str | list) else "a section" if isinstance(value, dict) else spelled(value)
    should = SHOULD.get(fault["type"])
    if should is None:
        return f"{location} is {shown}: {fault['msg'][0].lower()}{fault['msg'][1:]}"
    return f"{location} should be {should.format(**limits)}, but it is {shown}"
