"""The reference of params.yaml: every key with its default and meaning, taken from the typed schema itself."""

from collections.abc import Iterator
from dataclasses import dataclass
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from reprotune.params.document import Document
from reprotune.params.presets import DEFAULT, preset_values
from reprotune.params.schema import Section
from reprotune.params.values import spelled


@dataclass(frozen=True)
class ParamEntry:
    """One key of params.yaml."""

    key: str
    default: str
    values: str
    """The choices, or the type in words."""
    meaning: str


def param_entries() -> list[ParamEntry]:
    """Return every key in the order of the schema; the default is that of the `embedded` preset."""
    return list(_entries(Document, preset_values(DEFAULT), prefix=""))


def markdown_table() -> str:
    """Return the reference as a Markdown table."""
    lines = ["| key | default | values | meaning |", "|---|---|---|---|"]
    for entry in param_entries():
        lines.append(f"| `{entry.key}` | `{entry.default}` | {entry.values} | {entry.meaning} |")
    return "\n".join(lines) + "\n"


def print_reference() -> None:
    """Print the reference for a terminal of any width: key and default on one line, the meaning below."""
    console = Console(highlight=False)
    for entry in param_entries():
        console.print(Text.assemble((entry.key, "bold cyan"), f" = {entry.default}  ", (f"({entry.values})", "dim")))
        console.print(Padding(Text(entry.meaning.replace("`", "")), (0, 0, 1, 4)))


def _entries(section: type[Section], values: dict[str, Any], prefix: str) -> Iterator[ParamEntry]:
    for name, field in section.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, Section):
            yield from _entries(kind, values[name], prefix=f"{prefix}{name}.")
        else:
            meaning = " ".join((field.description or "").split())
            yield ParamEntry(f"{prefix}{name}", spelled(values[name]), _values(kind), meaning)


def _values(kind: Any) -> str:
    """Return a type annotation in words: its choices, or the name of the type."""
    if get_origin(kind) is Literal:
        return ", ".join(get_args(kind))
    if get_origin(kind) is Annotated:
        return _values(get_args(kind)[0])
    if get_origin(kind) is UnionType or get_origin(kind) is Union:
        return " or ".join(_values(part) for part in get_args(kind))
    if get_origin(kind) is list:
        inner = get_args(kind)[0]
        return (
            "list of sections"
            if isinstance(inner, type) and issubclass(inner, Section)
            else f"list of {_values(inner)}"
        )
    return {str: "text", int: "whole number", float: "number", bool: "true, false", type(None): "null"}[kind]
