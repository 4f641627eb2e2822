"""MD5 of files and folders as DVC computes it, remembered for large files.

As in DVC, a file counts as unchanged as long as its inode, size and modification time stay the same.
"""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from pathspec import GitIgnoreSpec

from reprotune.errors import UserError
from reprotune.files import read_json, read_text
from reprotune.pipeline.lock import FOLDER, checked_listing
from reprotune.pipeline.settings import cache_folder
from reprotune.scratch import scratch_root

REMEMBERED_BYTES = 1 << 20
ALWAYS_IGNORED = (".hg/", ".git/", ".git", ".dvc/")
"""What DVC leaves out of folders in the repository without being asked."""


class Hashes:
    """Hashes of paths under `root`; `save` keeps those of large files for next time."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._file = scratch_root() / "hashes.json"
        self._known: dict[str, Any] = _read(self._file)
        self._seen: dict[str, str | None] = {}
        self._fresh = False
        ignored = root / ".dvcignore"
        remedy = f"correct it, or set your edits of it aside with `git stash push {ignored.name}`"
        lines = read_text(ignored, remedy).splitlines() if ignored.exists() else []
        try:
            self._ignored = GitIgnoreSpec.from_lines([*ALWAYS_IGNORED, *lines])
        except ValueError as error:
            raise UserError(f"{ignored.name} holds a pattern that cannot be understood ({error}): {remedy}") from error

    def of(self, path: str) -> str | None:
        """Return the MD5 of a file, or of a folder's listing with the suffix `.dir`; null if there is neither."""
        if path not in self._seen:
            full = self.root / path
            self._seen[path] = self._of_folder(full) if full.is_dir() else self._of_file(full)
        return self._seen[path]

    def are_part(self, path: str, wanted: str | None) -> bool:
        """Tell whether a folder holds nothing but files of the listing `wanted`, as after a partial pull.

        False too where DVC's cache does not have the listing, so that nothing is known about its files.
        """
        if wanted is None or not wanted.endswith(FOLDER) or not (self.root / path).is_dir():
            return False
        cached = cache_folder(self.root) / "files/md5" / wanted[:2] / wanted[2:]
        try:
            listing = checked_listing(cached.read_bytes(), str(cached))
        except (OSError, UserError):
            return False
        return {(entry["relpath"], entry["md5"]) for entry in self._entries(self.root / path)} < set(listing.items())

    def save(self) -> None:
        """Store what was newly computed."""
        if self._fresh:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            self._file.write_text(json.dumps(self._known), encoding="utf-8")  # if interrupted, it is read as empty

    def _of_file(self, path: Path) -> str | None:
        try:
            state = path.stat()
        except OSError:
            return None
        stamp = [state.st_ino, state.st_size, state.st_mtime_ns]
        known = self._known.get(str(path))
        if known and known[:3] == stamp:
            return str(known[3])
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
        if state.st_size >= REMEMBERED_BYTES:
            self._known[str(path)] = [*stamp, digest]
            self._fresh = True
        return digest

    def _of_folder(self, folder: Path) -> str:
        listed = json.dumps(self._entries(folder), sort_keys=True).encode()
        return hashlib.md5(listed, usedforsecurity=False).hexdigest() + ".dir"

    def _entries(self, folder: Path) -> list[dict[str, str | None]]:
        """Return the listing of a folder as DVC writes it."""
        entries = []
        for place, _, names in os.walk(folder):
            for name in names:
                path = Path(place, name)
                inside = os.path.relpath(path, self.root)  # only inside the repository does .dvcignore count
                if inside.startswith("..") or not self._ignored.match_file(inside):
                    entries.append({"md5": self._of_file(path), "relpath": path.relative_to(folder).as_posix()})
        return sorted(entries, key=lambda entry: str(entry["relpath"]))


def _read(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file; an empty one where there is none."""
    try:
        known = read_json(path, "delete it")
    except UserError:
        return {}
    return {name: entry for name, entry in known.items() if _is_entry(entry)} if isinstance(known, dict) else {}


def _is_entry(entry: Any) -> bool:
    return isinstance(entry, list) and [type(part) for part in entry] == [int, int, int, str]
