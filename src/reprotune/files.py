"""Opening what people name or may have edited: regular files, of bounded size, whose text is UTF-8.

A path in params.yaml or on the command line can be a folder, a pipe that nobody writes to, a device without an end or
a file that fills the memory; a file in the repository can hold the marks of a merge conflict. Here each of these is one
sentence. The limits are far above what this pipeline needs.
"""

import errno
import json
import math
import os
import stat
from io import BufferedReader
from pathlib import Path
from typing import Any, Never

from reprotune.errors import UserError
from reprotune.faults import REMEDIES

TEXT_BYTES = 64 << 20
"""Largest file that is read as a whole, where the caller names no smaller limit."""
MOST_VALUES = 5_000_000
"""Most values in one JSON document: each may take a hundred bytes of memory."""
MOST_LEVELS = 50
"""Depth of a JSON document of our own."""
MOST_DIGITS = 18
"""Longest whole number in a JSON document of our own; more do not fit into 64 bits."""
SHOWN_CHARS = 200
UNFINISHED = {
    "Invalid control character at": "a line break or another control character inside a text",
    "Unterminated string starting at": "a text without its closing quote",
    "Invalid \\escape": "a backslash that stands for nothing",
    "Invalid \\uXXXX escape": "a \\u without four hex digits",
}
"""What Python's JSON reader says for its place to follow, or in signs -> the same in words."""

UTF8_BOM = b"\xef\xbb\xbf"


def open_regular(path: Path, remedy: str) -> BufferedReader:
    """Open a regular file for reading; raises `UserError` that ends in `remedy` for anything else, and never waits."""
    try:
        # not blocking, since opening a pipe would wait for somebody to write to it
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as error:  # ValueError for a NUL in the path
        raise UserError(f"{_shown(path)} {_refusal(error)}: {remedy}") from error
    kind = os.fstat(descriptor).st_mode
    if stat.S_ISREG(kind):
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    what = "a folder" if stat.S_ISDIR(kind) else "a pipe, a socket or a device"
    raise UserError(f"{_shown(path)} is {what} and no file: {remedy}")


def read_bytes(path: Path, remedy: str, most: int = TEXT_BYTES) -> bytes:
    """Return the content of a regular file of at most `most` bytes; raises `UserError` that ends in `remedy`."""
    with open_regular(path, remedy) as file:
        try:
            content = file.read(most + 1)
        except OSError as error:
            raise UserError(f"{_shown(path)} {_refusal(error)}: {remedy}") from error
    if len(content) > most:
        raise UserError(f"{_shown(path)} has more than {size_words(most)}, which is the limit: {remedy}")
    return content


def read_text(path: Path, remedy: str, most: int = TEXT_BYTES) -> str:
    """Return the text of a file as `read_bytes` reads it, without a byte order mark; raises `UserError` if no UTF-8."""
    return decoded(read_bytes(path, remedy, most), _shown(path))


def decoded(content: bytes, where: str, remedy: str = "save the file as UTF-8") -> str:
    """Return UTF-8 text without a byte order mark; raises `UserError` naming `where`, line and byte."""
    try:
        return content.removeprefix(UTF8_BOM).decode("utf-8")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        byte = error.object[error.start]
        raise UserError(f"{where} line {line} is not UTF-8 text (byte 0x{byte:02x}): {remedy}") from error


def read_json(path: Path, remedy: str, most: int = TEXT_BYTES) -> Any:
    """Return a JSON document as this project writes them; raises `UserError` that ends in `remedy` for any other."""
    where = _shown(path)
    return parsed_json(decoded(read_bytes(path, remedy, most), where, remedy), where, remedy)


def parsed_json(text: str, where: str, remedy: str) -> Any:
    """Return the value of JSON text; raises `UserError` that names `where` and ends in `remedy`.

    Numbers are finite, no key occurs twice in an object, and text can be written as UTF-8.
    """
    if has_too_many_values(text):
        raise UserError(f"{where} has more than {MOST_VALUES:,} values, which is the limit: {remedy}")
    try:
        value = json.loads(
            text, object_pairs_hook=_object, parse_int=_whole, parse_float=_finite, parse_constant=_constant
        )
        _check_depth(value)
        if "\\u" in text:
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except json.JSONDecodeError as error:
        fault = f"{json_fault(error)}, line {error.lineno} column {error.colno}"
    except UnicodeEncodeError:
        fault = "half of a surrogate pair, which is no character"
    except RecursionError:
        fault = "values nested too deep"
    except ValueError as error:
        fault = str(error)
    else:
        return value
    raise UserError(f"{where} is not valid JSON ({fault}): {remedy}")


def json_fault(error: json.JSONDecodeError) -> str:
    """Return what is wrong in JSON text, in words that can stand before the place or without it."""
    return UNFINISHED.get(error.msg, error.msg)


def _check_depth(value: Any) -> None:
    """Raise `RecursionError` for a document that others could not walk through."""
    waiting = [(value, 0)]
    while waiting:
        found, level = waiting.pop()
        if level > MOST_LEVELS:
            raise RecursionError
        if isinstance(found, dict | list):
            waiting += [(item, level + 1) for item in (found.values() if isinstance(found, dict) else found)]


def has_too_many_values(text: str) -> bool:
    """Tell whether JSON text may hold more than `MOST_VALUES`, without reading it."""
    return len(text) > MOST_VALUES and text.count(",") + text.count("[") + text.count("{") > MOST_VALUES


def size_words(size: int) -> str:
    """Return a limit in bytes in words: `256 kB`, `64 MB`."""
    return f"{size >> 20} MB" if size >= 1 << 20 else f"{size >> 10} kB" if size >= 1 << 10 else f"{size} bytes"


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {key[:SHOWN_CHARS]!r} occurs twice in one object")
        found[key] = value
    return found


def _whole(digits: str) -> int:
    if len(digits) > MOST_DIGITS:
        raise ValueError(f"a whole number of {len(digits)} characters")
    return int(digits)


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(f"{digits[:SHOWN_CHARS]} is beyond the range of numbers")
    return value


def _constant(name: str) -> Never:
    raise ValueError(f"{name} is no number")


def _refusal(error: OSError | ValueError) -> str:
    """Return why a file cannot be opened or read."""
    if not isinstance(error, OSError):
        return "cannot be the name of a file"
    if error.errno == errno.ENOENT:
        return "is missing"
    if error.errno == errno.ELOOP:
        return "is a link that leads back to itself"
    known = REMEDIES.get(error.errno or 0, "").partition(":")[0]
    return f"cannot be read ({known or error.strerror or error})"


def _shown(path: Path) -> str:
    text = str(path)
    return text if len(text) <= SHOWN_CHARS else f"{text[: SHOWN_CHARS - 1]}…"
