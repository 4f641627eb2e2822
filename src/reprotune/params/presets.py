"""Ready-made settings: what `reprotune preset list|show|apply` does.

A preset is a YAML file in `presets/` with a `description` and its own keys under `params`: those that it is about, also
where its value is the default. Applying it sets these keys and leaves all others as they are, so presets can be applied
on top of a person's settings, and of one another. `--reset` sets every other key to its default as well.

The presets of the chapter bring the chapter's dataset and a judge. Someone with a dataset or a judge of their own who
applies them wants the model and the training; so these two sections are left alone once they name something that no
preset names (`OWN`).
"""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.nodes import ScalarNode
from ruamel.yaml.representer import RoundTripRepresenter

from reprotune.artifacts import write_text
from reprotune.errors import UserError
from reprotune.params.differences import ParamChange, param_changes
from reprotune.params.document import Document
from reprotune.params.values import PARAMS_FILE, flattened, read_document, same_value

FOLDER = Path(__file__).parent / "presets"
DEFAULT = "embedded"

OWN = {
    "fetch.dataset": ("source",),
    "fetch.benchmark": ("source",),
    "judge": ("backend", "model", "rubric"),
    "benchmark.text": (),
}
"""Section -> the keys that say whose it is: with a value that no preset sets, the whole section is the user's own; a
key without any stands for itself."""


@dataclass(frozen=True)
class Preset:
    """One file of `presets/`."""

    name: str
    description: str
    params: dict[str, Any]
    """Its own keys; for `embedded`, all keys."""


@dataclass(frozen=True)
class Application:
    """What applying a preset to a params.yaml comes to; nothing is written before `write`."""

    path: Path
    text: str
    """The whole file as it would be."""
    changes: list[ParamChange]
    kept: list[ParamChange]
    """The keys that only `--reset` would change: what they are, and what they would be."""
    other_files: bool
    """Whether a stage reads other local files than before, so that its deps in dvc.yaml have to follow."""

    def write(self) -> None:
        """Replace the file, if anything changes."""
        if self.changes:
            write_text(self.path, self.text)


def list_presets() -> list[Preset]:
    """Return all presets, the default first."""
    presets = [load_preset(path.stem) for path in FOLDER.glob("*.yaml")]
    return sorted(presets, key=lambda preset: (preset.name != DEFAULT, preset.name))


def load_preset(name: str) -> Preset:
    """Return the preset called `name`; raises `UserError` that lists the names if there is none."""
    names = sorted(path.stem for path in FOLDER.glob("*.yaml"))
    if name not in names:
        raise UserError(f"there is no preset {name!r}: choose one of {', '.join(names)}")
    # loaded for a round trip, so that a number keeps its spelling (1e-3) on the way into params.yaml
    content = _round_trip().load((FOLDER / f"{name}.yaml").read_text(encoding="utf-8"))
    return Preset(name, content["description"], content["params"])


def preset_values(name: str) -> dict[str, Any]:
    """Return the whole params document under a preset: the defaults with the preset's keys on top."""
    values = _merged(load_preset(DEFAULT).params, load_preset(name).params)
    Document.parse("", values, FOLDER / f"{name}.yaml")
    return values


def preset_text(name: str, path: Path = PARAMS_FILE) -> str:
    """Return as YAML exactly what `apply_preset` sets in the params.yaml at `path`, which may be missing.

    Sections that stay because they are the user's own are named in a comment at the end.
    """
    preset = load_preset(name)
    own = own_sections(read_document(path)) if path.is_file() else []
    shown = {"description": preset.description, "params": _without(preset.params, own)}
    text = io.StringIO()
    _round_trip().dump(shown, text)
    return text.getvalue() + "".join(f"# {section} stays as it is: it names your own\n" for section in own)


def apply_preset(name: str, path: Path = PARAMS_FILE, reset: bool = False) -> Application:
    """Work out the params.yaml at `path` under a preset, with `reset` under nothing else.

    Comments, the order of the keys and the spelling of unchanged values are kept. Raises `UserError` if the file cannot
    be read or would not be valid.
    """
    preset, whole = load_preset(name), preset_values(name)
    before = _sections(path)
    return _application(path, whole if reset else _without(preset.params, own_sections(before)), whole)


def apply_values(values: Mapping[str, Any], path: Path = PARAMS_FILE) -> Application:
    """Work out the params.yaml at `path` with these values of dotted keys, as `apply_preset` does a preset's."""
    nested: dict[str, Any] = {}
    for key, value in values.items():
        *parents, name = key.split(".")
        place = nested
        for parent in parents:
            place = place.setdefault(parent, {})
        place[name] = value
    return _application(path, nested)


def _sections(path: Path) -> dict[str, Any]:
    """Return the sections of a params.yaml; raises `UserError` where it holds none."""
    found = read_document(path)
    if not isinstance(found, dict):
        raise UserError(
            f"{path} holds no sections: correct it, or set it aside with `git stash push {path}`, which restores the "
            "committed one"
        )
    return found


def _application(path: Path, values: dict[str, Any], whole: Mapping[str, Any] | None = None) -> Application:
    """Return what setting nested `values` comes to, beside the document that it would be under `whole`."""
    before = _sections(path)
    line_end = "\r\n" if b"\r\n" in path.read_bytes() else "\n"
    yaml = _round_trip()
    document = yaml.load(path.read_text(encoding="utf-8"))
    blocks = [value for value in document.values() if isinstance(value, CommentedMap) and not value.fa.flow_style()]
    if blocks:
        yaml.indent(mapping=blocks[0].lc.col)  # as the file has it
    _assign(document, values)
    written = io.StringIO()
    yaml.dump(document, written)
    text = written.getvalue().replace("\n", line_end)
    after = YAML(typ="safe", pure=True).load(text)
    other_files = Document.parse("", after, path).followed_files() != _followed_files(before)
    kept = [] if whole is None else param_changes(after, whole)
    return Application(path, text, param_changes(before, after), kept, other_files)


def _followed_files(params: Any) -> dict[str, list[Path]] | None:
    """Return the files that dvc.yaml should list for these params; null where a fault in them leaves that unknown."""
    try:
        return Document.parse("", params).followed_files()
    except UserError:
        return None


def own_sections(params: Any) -> list[str]:
    """Return the sections and keys of a params document, by dotted names, that are the user's own (see `OWN`)."""
    values = flattened(params) if isinstance(params, dict) else {}
    known = [flattened(preset.params) for preset in list_presets()]
    own = [
        section
        for section, names in OWN.items()
        for keys in [[f"{section}.{name}" for name in names] or [section]]
        if any(key in values and values[key] not in [one.get(key) for one in known] for key in keys)
    ]
    # How the rows of a file are ordered, and whether items come with examples, belongs to the file, as its columns do.
    belonging = {"fetch.dataset": "split.order", "fetch.benchmark": "benchmark.shots"}
    return [*own, *(key for section, key in belonging.items() if section in own)]


def _without(values: dict[str, Any], sections: list[str]) -> dict[str, Any]:
    """Take the sections of these dotted names out of `values`, and return it."""
    for section in sections:
        *parents, name = section.split(".")
        place = values
        for parent in parents:
            place = place.get(parent, {})
        place.pop(name, None)
    return values


def _merged(defaults: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    result = dict(defaults)
    for key, value in changes.items():
        nested = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = _merged(result[key], value) if nested else value
    return result


def _assign(target: CommentedMap, values: dict[str, Any]) -> None:
    """Set `values` in place; what is the same already keeps its spelling."""
    for key, value in values.items():
        if isinstance(value, dict):
            if not isinstance(target.get(key), dict):
                target[key] = CommentedMap()
            _assign(target[key], value)
        elif key not in target or not same_value(target[key], value):
            target[key] = value


class _Representer(RoundTripRepresenter):
    """Writes null as `null`, where ruamel would leave the value out."""

    def represent_null(self, data: None) -> ScalarNode:
        return self.represent_scalar("tag:yaml.org,2002:null", "null")


_Representer.add_representer(type(None), _Representer.represent_null)


def _round_trip() -> YAML:
    yaml = YAML()
    yaml.Representer = _Representer
    yaml.preserve_quotes = True
    yaml.width = 10_000
    return yaml
