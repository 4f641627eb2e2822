"""The page of params: every key of params.yaml, from the typed schema and the presets."""

from collections.abc import Iterator
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from reprotune.params.differences import param_changes
from reprotune.params.document import Document
from reprotune.params.presets import DEFAULT, list_presets, preset_values
from reprotune.params.reference import ParamEntry, param_entries
from reprotune.params.schema import Section

HEAD = """\
# Params

Every key of `params.yaml`, the only file that changes results, with its default and its meaning. A value out of
range or a key that is not listed here is refused, by name, before any stage runs.
`reprotune params` prints this reference in a terminal.

A default is the value under the preset `embedded`. Presets that set another value are listed
with the key; `reprotune preset show NAME` prints everything that a preset sets.
"""

LIMITS = {"ge": "at least {}", "gt": "above {}", "le": "at most {}", "lt": "below {}"}
"""Constraints of the schema in words."""


def params_page() -> str:
    """Return the page as Markdown: a heading for each section and each key."""
    entries = {entry.key: entry for entry in param_entries()}
    changed = _changed_by_presets()
    parts = [HEAD]
    for name, section in _sections(Document):
        parts.append(f"## {name}\n\n{_one_line(section.__doc__)}\n")
        for key, field in section.model_fields.items():
            if not _is_section(field.annotation):
                full = f"{name}.{key}"
                parts.append(_entry_text(entries[full], field, changed.get(full, {})))
    return "\n".join(parts)


def _entry_text(entry: ParamEntry, field: FieldInfo, presets: dict[str, list[str]]) -> str:
    choices = get_args(field.annotation) if get_origin(field.annotation) is Literal else ()
    values = [f"`{choice}`" for choice in choices] or [entry.values, *_limits(field)]
    lines = [f"- default: `{entry.default}`", f"- values: {', '.join(values)}"]
    if presets:
        lines.append("- presets: " + "; ".join(f"`{value}` in {', '.join(names)}" for value, names in presets.items()))
    return f"### `{entry.key}`\n\n{entry.meaning}\n\n" + "\n".join(lines) + "\n"


def _sections(model: type[Section], prefix: str = "") -> Iterator[tuple[str, type[Section]]]:
    """Yield every section that has keys of its own, with its dotted name."""
    for name, field in model.model_fields.items():
        kind: Any = field.annotation
        if _is_section(kind):
            if not all(_is_section(inner.annotation) for inner in kind.model_fields.values()):
                yield f"{prefix}{name}", kind
            yield from _sections(kind, f"{prefix}{name}.")


def _is_section(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Section)


def _limits(field: FieldInfo) -> list[str]:
    """Return what the schema demands beyond the type, in words."""
    found = []
    for constraint in [*field.metadata, *_nested_metadata(field.annotation)]:
        found += [
            words.format(getattr(constraint, name)) for name, words in LIMITS.items() if hasattr(constraint, name)
        ]
        if getattr(constraint, "min_length", None):
            found.append("not empty")
        if getattr(constraint, "pattern", None):
            found.append(f"matching `{constraint.pattern}`")
    return found


def _nested_metadata(kind: Any) -> list[Any]:
    """Return the constraints inside an annotation such as `Annotated[str, ...] | None`."""
    if get_origin(kind) is Annotated:
        return [part for info in get_args(kind)[1:] for part in getattr(info, "metadata", [info])]
    if get_origin(kind) in (Union, UnionType):
        return [part for inner in get_args(kind) for part in _nested_metadata(inner)]
    return []


def _changed_by_presets() -> dict[str, dict[str, list[str]]]:
    """Return key -> value -> presets, for the keys that a preset sets to something else than the default."""
    result: dict[str, dict[str, list[str]]] = {}
    defaults = preset_values(DEFAULT)
    for preset in list_presets():
        for change in param_changes(defaults, preset_values(preset.name)):
            result.setdefault(change.key, {}).setdefault(change.new, []).append(f"`{preset.name}`")
    return result


def _one_line(text: str | None) -> str:
    return " ".join((text or "").split())
