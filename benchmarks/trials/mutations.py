"""Ways to spoil a file, drawn from a seed: its bytes, or a value somewhere in it."""

import copy
import json
import math
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from random import Random
from typing import Any

from ruamel.yaml import YAML

HTML = b"<!DOCTYPE html>\n<html><body><h1>404 Not Found</h1></body></html>\n"
CONFLICT = b"<<<<<<< HEAD\n1\n=======\n2\n>>>>>>> theirs\n"


def cut(content: bytes, draw: Random) -> bytes:
    return content[: draw.randrange(len(content) or 1)]


def cut_at_the_end(content: bytes, draw: Random) -> bytes:
    return content[: -draw.randint(1, 40)]


def empty(content: bytes, draw: Random) -> bytes:
    return b""


def blank(content: bytes, draw: Random) -> bytes:
    return b" \n" * draw.choice([1, 50])


def zeros(content: bytes, draw: Random) -> bytes:
    return bytes(draw.choice([1, len(content), 4096]))


def zeros_inside(content: bytes, draw: Random) -> bytes:
    place, length = draw.randrange(len(content) or 1), draw.choice([1, 8, 512])
    return content[:place] + bytes(length) + content[place + length :]


def flipped(content: bytes, draw: Random) -> bytes:
    spoiled = bytearray(content)
    for _ in range(draw.choice([1, 1, 3, 20])):
        if spoiled:
            spoiled[draw.randrange(len(spoiled))] ^= 1 << draw.randrange(8)
    return bytes(spoiled)


def garbage(content: bytes, draw: Random) -> bytes:
    return draw.randbytes(draw.choice([1, 100, len(content) or 1]))


def garbage_inside(content: bytes, draw: Random) -> bytes:
    place = draw.randrange(len(content) or 1)
    return content[:place] + draw.randbytes(draw.choice([1, 4, 64])) + content[place:]


def doubled(content: bytes, draw: Random) -> bytes:
    return content + content


def swapped(content: bytes, draw: Random) -> bytes:
    middle = draw.randrange(len(content) or 1)
    return content[middle:] + content[:middle]


def page(content: bytes, draw: Random) -> bytes:
    return HTML


def conflict(content: bytes, draw: Random) -> bytes:
    lines = content.splitlines(keepends=True)
    place = draw.randrange(len(lines) + 1)
    return b"".join([*lines[:place], CONFLICT, *lines[place:]])


BYTES: tuple[Callable[[bytes, Random], bytes], ...] = (
    *(cut, cut_at_the_end, empty, blank, zeros, zeros_inside, flipped, flipped, garbage, garbage_inside),
    *(doubled, swapped, page, conflict),
)


def recoded(encoding: str) -> Callable[[bytes, Random], bytes]:
    def other(content: bytes, draw: Random) -> bytes:
        text = content.decode("utf-8", "replace").replace("e", "é", 3)
        return text.encode(encoding, "replace")

    other.__name__ = f"in {encoding}"
    return other


TEXTS = (*BYTES, *(recoded(name) for name in ("latin-1", "utf-16", "utf-16-le", "utf-32", "utf-8-sig", "cp500")))


def spoil(path: Path, draw: Random, text: bool = True) -> str:
    """Spoil a file's bytes; returns what was done."""
    how = draw.choice(TEXTS if text else BYTES)
    content = path.read_bytes()
    path.write_bytes(how(content, draw))
    return f"{path.name}: {how.__name__.replace('_', ' ')}"


def nested(depth: int, close: bool = True) -> Any:
    value: Any = []
    for _ in range(depth):
        value = [value]
    return value


STRANGE: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2, 3.5, -0.0, 1e-320, 1e308, 10**18, 2**64, -(2**63) - 1, 10**40),
    *(math.nan, math.inf, -math.inf, "", " ", "0", "-1", "1e3", "null", "true", "NaN", "no such thing", "\0", "a\0b"),
    *("x" * 5000, "é" * 300, "\ud83d", "\u202egnp.exe", "\x1b[31mred\x1b[0m", "\u2028", "a\nb", "a: b", "{{ 7 * 7 }}"),
    *("${x}", "%s", "../../../etc/passwd", "/etc/passwd", "/", ".", "~", "~nosuchuser/x", "a/" * 2500, "/dev/zero"),
    *("http://[::1/x", "http://127.0.0.1:9/x", "file:///etc/passwd", "hf://x/y", "<script>alert(1)</script>"),
    *([], [[]], [1, 2], ["a"], {}, {"a": 1}, {"": None}, nested(20)),
)
"""Values of every type and of no use."""


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the path of every value inside a JSON value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    found: list[tuple[Any, ...]] = []
    for key, one in items:
        found += [(*path, key), *places(one, (*path, key))]
    return found


def with_strange_value(value: Any, draw: Random) -> tuple[Any, str]:
    """Return a copy of a JSON value with one part of it replaced, deleted, renamed or added, and what was done."""
    value = copy.deepcopy(value)
    found = places(value)
    if not found:
        return draw.choice(STRANGE), "another value"
    path = draw.choice(found)
    parent = value
    for key in path[:-1]:
        parent = parent[key]
    name = ".".join(map(str, path))
    action = draw.choice(["replace"] * 6 + ["delete", "rename", "add"])
    if action == "delete":
        del parent[path[-1]]
        return value, f"{name} deleted"
    if action == "rename" and isinstance(parent, dict):
        parent[str(path[-1]) + "s"] = parent.pop(path[-1])
        return value, f"{name} renamed"
    if action == "add" and isinstance(parent, dict):
        parent[draw.choice(["", "extra", "__class__", "x" * 3000, "ü", "a.b"])] = draw.choice(STRANGE)
        return value, f"a key more beside {name}"
    parent[path[-1]] = draw.choice(STRANGE)
    return value, f"{name} is {shown(parent[path[-1]])}"


def shown(value: Any) -> str:
    text = ascii(value)
    return text if len(text) < 80 else f"{text[:70]}... ({len(text)} characters)"


def spoil_json(path: Path, draw: Random) -> str:
    """Spoil a JSON file: a value in it, the form of the text, or its bytes; returns what was done."""
    kind = draw.choice(["value"] * 5 + ["bytes"] * 2 + ["deep", "digits", "twice", "whole"])
    text = path.read_text(encoding="utf-8")
    if kind == "bytes":
        return spoil(path, draw)
    if kind == "deep":
        depth = draw.choice([900, 5000, 200_000])
        path.write_text("[" * depth + (draw.choice(["", "]" * depth])), encoding="utf-8")
        return f"{path.name}: {depth} levels deep"
    if kind == "digits" and any(character.isdigit() for character in text):
        place = draw.choice([at for at, character in enumerate(text) if character.isdigit()])
        path.write_text(text[:place] + "9" * draw.choice([400, 5000]) + text[place:], encoding="utf-8")
        return f"{path.name}: a number of many digits"
    value = json.loads(text)
    if kind == "twice" and isinstance(value, dict) and value:
        key = draw.choice(sorted(value))
        path.write_text(f"{text.rstrip()[:-1]}, {json.dumps(key)}: {json.dumps(draw.choice(STRANGE))}}}")
        return f"{path.name}: the key {key} twice"
    if kind == "whole":
        value, what = draw.choice(STRANGE), "another value altogether"
    else:
        value, what = with_strange_value(value, draw)
    path.write_text(json.dumps(value), encoding="utf-8")
    return f"{path.name}: {what}"


def spoil_yaml(path: Path, draw: Random, only: str | None = None) -> str:
    """Spoil a YAML file: a value in it (in the section `only`), its bytes or its form; returns what was done."""
    kind = draw.choice(["value"] * 6 + ["bytes"] * 2 + ["form"])
    text = path.read_text(encoding="utf-8")
    if kind == "bytes":
        return spoil(path, draw)
    if kind == "form":
        name, change = draw.choice(sorted(YAML_FORMS.items()))
        path.write_text(change(text), encoding="utf-8")
        return f"{path.name}: {name}"
    yaml = YAML(typ="safe", pure=True)
    value = yaml.load(text)
    if only is None:
        value, what = with_strange_value(value, draw)
    else:
        section, what = with_strange_value(value[only], draw)
        value[only], what = section, f"{only}.{what}"
    stream = StringIO()
    try:
        yaml.dump(value, stream)
        path.write_text(stream.getvalue(), encoding="utf-8")
    except ValueError:  # a lone surrogate: as an escape, which YAML may have
        path.write_text(json.dumps(value), encoding="utf-8")
    return f"{path.name}: {what}"


YAML_FORMS: dict[str, Callable[[str], str]] = {
    "tabs for blanks": lambda text: text.replace("  ", "\t"),
    "aliases of aliases": lambda text: (
        text
        + "\na0: &a0 [x, x, x, x, x, x, x, x, x]\n"
        + "".join(f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 9)}]\n" for level in range(1, 12))
    ),
    "an alias of itself": lambda text: text + "\nitself: &a [*a]\n",
    "a tag of Python": lambda text: text + "\nextra: !!python/object/apply:os.system ['true']\n",
    "an unknown tag": lambda text: text + "\nextra: !nonsense 1\n",
    "two documents": lambda text: text + "\n---\na: 1\n",
    "the text twice": lambda text: text + "\n" + text,
    "a list": lambda text: "- 1\n- 2\n",
    "only a word": lambda text: "nonsense\n",
    "null": lambda text: "null\n",
    "a key that is a list": lambda text: text + "\n? [1, 2]\n: 3\n",
    "a key that is null": lambda text: text + "\n? \n: 3\n",
    "a key that is a date": lambda text: text + "\n2001-01-01: 3\n",
    "very deep": lambda text: text + "\nextra: " + "[" * 3000 + "]" * 3000 + "\n",
    "very deep, never closed": lambda text: text + "\nextra: " + "{a: " * 1500 + "\n",
    "an odd escape": lambda text: text + '\nextra: "\\ud83d"\n',
    "a directive": lambda text: "%YAML 9.9\n---\n" + text,
    "a number of 5,000 digits": lambda text: text + "\nextra: " + "9" * 5000 + "\n",
    "a number in base 60": lambda text: text + "\nextra: 190:20:30\n",
    "a line of 3 MB": lambda text: text + "\nextra: " + "x" * 3_000_000 + "\n",
    "a comment of 3 MB": lambda text: text + "\n# " + "x" * 3_000_000 + "\n",
    "merged keys": lambda text: text + "\nextra: {<<: [{a: 1}, {b: 2}], <<: 3}\n",
}
