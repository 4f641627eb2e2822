"""How a section of params.yaml is checked: strict types, and all faults of the section listed at once."""

import re
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Self, get_args

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core.core_schema import ErrorType

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

MOST_SHOWN = 80
"""Characters of a wrong value that a sentence shows."""


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
            faults = "; ".join(_sentence(cls, name, dict(fault)) for fault in error.errors())
            raise UserError(f"{path}: {faults}") from error


def _sentence(model: type[Section], section: str, fault: dict[str, Any]) -> str:
    """Say what is wrong in our own words; pydantic's speak of inputs and instances."""
    keys = [str(part) for part in fault["loc"]]
    named = [key if re.fullmatch(r"[\w-]+", key) else repr(key) for key in keys]
    location = ".".join([*filter(None, [section]), *named])
    if fault["type"] in ("extra_forbidden", "invalid_key"):
        return f"{location} is not a known key{_meant(model, section, keys)} (`reprotune params` lists them)"
    if fault["type"] == "missing":
        return f"{location} is missing: add it (`reprotune params` shows its default)"
    if fault["type"] == "value_error":  # raised by a section about several keys together
        return f"{location}: {fault['ctx']['error']}"
    if not location:
        sections = ", ".join(model.model_fields)
        return f"the file should hold the sections {sections}, but it is {_shown(fault['input'])}"
    return f"{location} {_wrong_value(fault)}"


def _wrong_value(fault: dict[str, Any]) -> str:
    limits, shown = dict(fault.get("ctx", {})), _shown(fault["input"])
    if "pattern" in limits:
        limits["digits"] = limits["pattern"].partition("{")[2].partition("}")[0]
    if fault["type"] in SHOULD:
        return f"should be {SHOULD[fault['type']].format(**limits)}, but it is {shown}"
    if fault["type"] in get_args(ErrorType):
        return f"cannot be {shown} (`reprotune params` says what it can be)"
    return f"is {shown}: {fault['msg']}"  # the words of a validator in `sections/`


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return "a section"
    text = repr(value) if isinstance(value, str | list) else spelled(value)
    return text if len(text) <= MOST_SHOWN else f"{text[: MOST_SHOWN - 1]}…"


def _meant(model: type[Section], section: str, keys: list[str]) -> str:
    """Return a question for the known key that an unknown one resembles, or whose name it has in another section."""
    *parents, unknown = keys
    known = [*_known_keys(model)]
    inside = "".join(f"{key}." for key in parents)
    near = {key.removeprefix(inside): key for key in known if key.startswith(inside)}
    similar = get_close_matches(unknown, [key for key in near if "." not in key], n=1)
    found = [near[key] for key in similar] or [key for key in known if key.rpartition(".")[2] == unknown]
    return f": did you mean {'.'.join([*filter(None, [section]), found[0]])}?" if found else ""


def _known_keys(model: type[Section], prefix: str = "") -> Iterator[str]:
    """Yield the dotted names of all keys and sections below a section."""
    for name, field in model.model_fields.items():
        yield f"{prefix}{name}"
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            yield from _known_keys(field.annotation, f"{prefix}{name}.")
