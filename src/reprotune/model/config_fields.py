"""Values of a config.json, read with one sentence for each that is missing, out of range or not supported."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from reprotune.errors import UserError
from reprotune.untrusted import clipped

LARGEST = {
    "n_layer": 1_000,
    "n_head": 1_000,
    "n_embd": 100_000,
    "num_hidden_layers": 1_000,
    "num_attention_heads": 1_000,
    "num_key_value_heads": 1_000,
    "hidden_size": 100_000,
    "head_dim": 10_000,
    "intermediate_size": 1_000_000,
}
LARGEST_COUNT = 10_000_000
"""Limits of the sizes, far above any model: beyond, it is the file that is wrong."""
SHOWN_CHARS = 60


class ConfigFields:
    """The keys of a config.json (or of one object in it, named by `within`); every fault is a `UserError`."""

    def __init__(self, document: Mapping[str, Any], path: Path, within: str = "") -> None:
        self.document = document
        self.path = path
        self.within = within

    def size(self, key: str, default: int | None = None) -> int:
        """Return a whole number from 1 to the key's limit."""
        value, largest = self.document.get(key), LARGEST.get(key, LARGEST_COUNT)
        if value is None and default is not None:
            return default
        if not isinstance(value, int) or isinstance(value, bool) or not 0 < value <= largest:
            self._wrong(key, f"a whole number from 1 to {largest}")
        return int(value)

    def share(self, key: str, default: float) -> float:
        """Return a number between 0 and 1, both excluded."""
        value = self.document.get(key, default)
        if not isinstance(value, float) or not 0 < value < 1:
            self._wrong(key, "between 0 and 1", "lie ")
        return float(value)

    def number(self, key: str, default: float | None = None) -> float:
        """Return a positive finite number."""
        value = self.document.get(key)
        if value is None and default is not None:
            return default
        if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value < 1e12:
            self._wrong(key, "a positive number")
        return float(value)

    def flag(self, key: str, default: bool) -> bool:
        """Return true or false."""
        value = self.document.get(key, default)
        if not isinstance(value, bool):
            self._wrong(key, "true or false")
        return value

    def token(self, key: str) -> int | None:
        """Return a token id, or None."""
        value = self.document.get(key)
        if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 0):
            self._wrong(key, "a token id or null")
        return value

    def tokens(self, key: str) -> tuple[int, ...]:
        """Return token ids: none, one, or those of a list."""
        value = self.document.get(key)
        values = value if isinstance(value, list) else [] if value is None else [value]
        if any(not isinstance(one, int) or isinstance(one, bool) or one < 0 for one in values):
            self._wrong(key, "a token id, a list of them or null")
        return tuple(values)

    def section(self, key: str) -> "ConfigFields | None":
        """Return the fields of an object; None where it is missing or null."""
        value = self.document.get(key)
        if value is not None and not isinstance(value, dict):
            self._wrong(key, "an object or null")
        return None if value is None else ConfigFields(value, self.path, f"{self.within}{key}.")

    def require(self, key: str, *supported: Any) -> None:
        """Refuse any other value than those that our network implements; a missing key means the first."""
        value = self.document.get(key, supported[0])
        if value not in supported:
            self.refuse(key, value, repr(supported[0]))

    def check_multiple(self, name: str, value: int, of: str, divisor: int) -> None:
        """Refuse a size that another does not divide."""
        if value % divisor:
            raise UserError(f"{self.path}: {name} {value} is not a multiple of {of} {divisor}: fix the file")

    def refuse(self, key: str, value: Any, needed: str) -> NoReturn:
        """Refuse what our network does not compute."""
        raise UserError(
            f"{self.path}: {self.within}{key} is {clipped(repr(value), SHOWN_CHARS)}, but Reprotune's network needs "
            f"{needed}: choose another model"
        )

    def _wrong(self, key: str, wanted: str, verb: str = "be ") -> NoReturn:
        shown = clipped(repr(self.document[key]), SHOWN_CHARS) if key in self.document else "missing"
        raise UserError(f"{self.path}: {self.within}{key} is {shown}, but it should {verb}{wanted}: fix the file")
