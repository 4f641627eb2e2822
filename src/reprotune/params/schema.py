"""How a section of params.yaml is checked: strict types, and all faults of the section listed at once."""

import re
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Self, get_args
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError
from pydantic_core.core_schema import ErrorType

from reprotune.errors import UserError
from reprotune.params.values import PARAMS_FILE, read_document, spelled

SHOULD = {
    "bool_type": "true or false",
    "finite_number": "a finite number",
    "float_type": "a number",
    "greater_than": "above {gt}",
    "greater_than_equal": "at least {ge}",
    "int_type": "a whole number",
    "list_type": "a list",
    "less_than": "below {lt}",
    "less_than_equal": "at most {le}",
    "literal_error": "{expected}",
    "model_type": "a section with keys of its own",
    "string_pattern_mismatch": "{digits} hexadecimal digits (0-9, a-f)",
    "string_too_short": "text that is not empty",
    "string_type": "text",
}
"""Kind of fault in pydantic -> what the value should be, with the limits that pydantic gives."""

MOST_SHOWN = 80
"""Characters of a wrong value that a sentence shows."""

MOST_COUNT = 10**9
"""Largest number of rows, tokens, steps and the like: far beyond use, and within what every library computes with."""
LEAST_TEMPERATURE = 1e-4
"""Below it, scores divided by a temperature leave the range of numbers."""
PATH_BYTES, NAME_BYTES = 4095, 255
"""Longest path, and longest part of one, that Linux opens; a download lies in a folder of its own name."""


def _usable_location(text: str) -> str:
    """Refuse a path or URL that no file can have; raises as pydantic's validators do."""
    if text.lower().startswith(("http://", "https://")):
        try:
            address = urlsplit(text)
            usable = bool(address.hostname) and address.port != 0
        except ValueError:
            usable = False
        if not usable or not text.isprintable():
            raise PydanticCustomError("url", "it should be a URL with a host, such as https://example.org/data.jsonl")
        return text
    longest = max((len(part.encode()) for part in Path(text).parts), default=0)
    if "\0" in text or len(text.encode()) > PATH_BYTES or longest > NAME_BYTES:
        raise PydanticCustomError(
            "path", f"it should be a path of at most {PATH_BYTES} bytes, {NAME_BYTES} for each part, without NUL"
        )
    try:
        Path(text).expanduser()
    except RuntimeError as error:
        raise PydanticCustomError("home", "there is no such user: write the path of the folder instead") from error
    return text


def _usable_temperature(value: float) -> float:
    if 0 < value < LEAST_TEMPERATURE:
        raise PydanticCustomError("temperature", f"it should be 0, or at least {LEAST_TEMPERATURE}")
    return value


Location = Annotated[str, Field(min_length=1), AfterValidator(_usable_location)]
"""The path of a file or folder, or a URL where one is allowed; `~` stands for a user's home."""
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
CommitHash = Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]
Seed = Annotated[int, Field(ge=0, le=2**53)]
"""The largest whole number that a service can read from JSON."""
Temperature = Annotated[float, Field(ge=0, le=1000), AfterValidator(_usable_temperature)]
"""0 chooses the likeliest."""


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
    return f"{location} {wrong_value(fault)}"


def wrong_value(fault: dict[str, Any]) -> str:
    """Say what a value should be and what it is, of a fault that pydantic found."""
    limits, shown = dict(fault.get("ctx", {})), _shown(fault["input"])
    if "pattern" in limits:
        limits["digits"] = limits["pattern"].partition("{")[2].partition("}")[0]
    for name, limit in limits.items():
        if isinstance(limit, int | float):
            limits[name] = f"{limit:,.0f}" if abs(limit) >= 1e6 else f"{limit:g}"
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
