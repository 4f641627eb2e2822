"""The files in a tar archive, copied out one by one: no name in it ever becomes a path on this machine."""

import gzip
import shutil
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from reprotune.dataset.sources.limits import LOOK, UNPACKED_BYTES, UNPACKED_TIMES
from reprotune.dataset.sources.readers import GZIP_MAGIC
from reprotune.errors import UserError
from reprotune.files import open_regular
from reprotune.untrusted import clipped

MOST_MEMBERS = 20_000
MAGIC, MAGIC_AT = b"ustar", 257
ENDINGS = (".tar", ".tar.gz", ".tgz")
SHOWN_CHARS = 100


def is_archive(path: Path, name: str, key: str) -> bool:
    """Tell whether a file is a tar archive, by its name or its first bytes."""
    if name.lower().partition("?")[0].endswith(ENDINGS):
        return True
    with open_regular(path, f"check {key}.source") as file:
        try:
            start = _unpacked(file).read(MAGIC_AT + len(MAGIC))
        except (OSError, EOFError, zlib.error):
            return False
    return start[MAGIC_AT:] == MAGIC


def copied_members(path: Path, name: str, key: str, folder: Path) -> Iterator[tuple[str, Path]]:
    """Copy every plain file of an archive into `folder` under a number, and yield its name in the archive and its copy.

    Hidden files are left out. Raises `UserError` for a name that leads outside, for links, devices and whatever else is
    no plain file, and for an archive that is damaged or unfolds to far more than text does.
    """
    with open_regular(path, f"check {key}.source") as file:
        plain = _unpacked(file)
        limited = plain if plain is file else _Limited(plain, name, path.stat().st_size)
        try:
            with tarfile.open(fileobj=limited, mode="r|") as archive:  # type: ignore[call-overload]
                for number, member in enumerate(archive):
                    if number >= MOST_MEMBERS:
                        raise UserError(f"{name} holds more than {MOST_MEMBERS:,} files, which is the limit: {LOOK}")
                    _check(member, name)
                    content = archive.extractfile(member)
                    if content is None or PurePosixPath(member.name).name.startswith("."):
                        continue
                    copy = folder / str(number)
                    with copy.open("wb") as out:
                        shutil.copyfileobj(content, out)
                    yield member.name, copy
        except (tarfile.TarError, EOFError, gzip.BadGzipFile, zlib.error, ValueError, ArithmeticError) as error:
            raise UserError(f"{name} is not a readable tar archive ({error}): fetch or pack it again") from error


def _unpacked(file: IO[bytes]) -> IO[bytes]:
    packed = file.read(len(GZIP_MAGIC)) == GZIP_MAGIC
    file.seek(0)
    return gzip.GzipFile(fileobj=file, mode="rb") if packed else file  # type: ignore[return-value]


class _Limited:
    """A packed archive that may not unfold without an end; a header in it can ask for any number of bytes at once."""

    def __init__(self, file: IO[bytes], name: str, stored: int) -> None:
        self._file, self._name = file, name
        self._left = max(UNPACKED_BYTES, UNPACKED_TIMES * stored)

    def read(self, size: int) -> bytes:
        content = self._file.read(min(size, self._left + 1))
        self._left -= len(content)
        if self._left < 0:
            raise UserError(
                f"{self._name} unfolds to more than {UNPACKED_TIMES} times its size, which is the limit: {LOOK}"
            )
        return content


def _check(member: tarfile.TarInfo, name: str) -> None:
    inside = PurePosixPath(member.name)
    shown = clipped(member.name, SHOWN_CHARS).encode("ascii", "backslashreplace").decode()
    if inside.is_absolute() or ".." in inside.parts:
        raise UserError(f"{name}: the file {shown!r} in it leads outside of it: do not use this archive")
    if not (member.isreg() or member.isdir()) or member.issparse():
        raise UserError(f"{name}: {shown!r} in it is no plain file, but a link or device: pack the files themselves")
