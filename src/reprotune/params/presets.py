"""Ready-made settings: what `reprotune preset list|show|apply` does.

A preset is a YAML file in `presets/` with a `description` and the `params` that it sets, relative to the defaults in
`presets/embedded.yaml`. Applying one resets params.yaml to the defaults, sets the preset's keys, and keeps the file's
comments and layout.
"""

import io
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
from reprotune.params.values import PARAMS_FILE, read_document, same_value

FOLDER = Path(__file__).parent / "presets"
DEFAULT = "embedded"


@dataclass(frozen=True)
class Preset:
    """One file of `presets/`."""

    name: str
    description: str
    params: dict[str, Any]
    """The keys that differ from the defaults; for `embedded`, all keys."""


def list_presets() -> list[Preset]:
    """Return all presets, the default first."""
    presets = [load_preset(path.stem) for path in FOLDER.glob("*.yaml")]
    return sorted(presets, key=lambda preset: (preset.name != DEFAULT, preset.name))


def preset_text(name: str) -> str:
    """Return the text of a preset's file; raises `UserError` that lists the names if there is no such preset."""
    names = sorted(path.stem for path in FOLDER.glob("*.yaml"))
    if name not in names:
        raise UserError(f"there is no preset {name!r}: choose one of {', '.join(names)}")
    return (FOLDER / f"{name}.yaml").read_text(encoding="utf-8")


def load_preset(name: str) -> Preset:
    """Return the preset called `name`; raises `UserError` if there is none."""
    # loaded for a round trip, so that a number keeps its spelling (1e-3) on the way into params.yaml
    content = _round_trip().load(preset_text(name))
    return Preset(name, content["description"], content["params"])


def preset_values(name: str) -> dict[str, Any]:
    """Return the whole params document under a preset: the defaults with the preset's keys on top."""
    values = _merged(load_preset(DEFAULT).params, load_preset(name).params)
    Document.parse("", values, FOLDER / f"{name}.yaml")
    return values


def apply_preset(name: str, path: Path = PARAMS_FILE) -> list[ParamChange]:
    """Rewrite params.yaml under a preset and return the keys that changed.

    Comments, the order of the keys and the spelling of unchanged values are kept. The file is replaced only if the
    result is valid; raises `UserError` otherwise.
    """
    values = preset_values(name)
    before = read_document(path)
    if not isinstance(before, dict):
        raise UserError(f"{path} holds no sections: restore it with `git checkout {path}`")
    yaml = _round_trip()
    document = yaml.load(path.read_text(encoding="utf-8"))
    _assign(document, values)
    text = io.StringIO()
    yaml.dump(document, text)
    Document.parse("", YAML(typ="safe", pure=True).load(text.getvalue()), path)
    changes = param_changes(before, values)
    if changes:
        write_text(path, text.getvalue())
    return changes


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
