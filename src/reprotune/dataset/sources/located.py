"""The files of a source on this machine, wherever it is: a path, a folder, a pattern, a URL or the hub."""

import glob
import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from reprotune.console import counted, note
from reprotune.dataset.sources.download import checked_sha256, download
from reprotune.dataset.sources.hub import hub_files
from reprotune.dataset.sources.readers import KINDS
from reprotune.errors import UserError
from reprotune.params.sections.dataset import HUB, SourceParams, is_pattern
from reprotune.scratch import file_sha256, fingerprint, scratch_directory

SHOWN_FILES = 5
ListFiles = Callable[[str, Path], list[Path]]
"""Key of the source and its path -> the files that it stands for."""


class Located(NamedTuple):
    """What a source consists of."""

    files: list[tuple[Path, str]]
    """Each file and what the user calls it, in the order in which they are read."""
    sha256: str
    """Of the file; of several, the SHA-256 of their list as `sha256sum` prints it, names relative to their folder."""


def located(key: str, source: SourceParams, splits: Sequence[str] = (), list_files: ListFiles | None = None) -> Located:
    """Return the files of the source that params.yaml has under `key`; what is on the network is downloaded.

    `splits` are further splits of a dataset on the hub; `list_files` finds the files of a local path (null:
    `local_files`). Raises `UserError` if there is none, or if the hash is not the expected one.
    """
    if source.source.startswith(HUB):
        named = hub_files(key, source)
        for split in splits:
            named |= hub_files(key, source.model_copy(update={"hub": source.hub.model_copy(update={"split": split})}))
        return Located([(path, f"{source.source}/{name}") for name, path in named.items()], _sha256(key, source, named))
    if source.path is None:
        # The address alone keys a download: the server's validator decides whether its bytes may be continued, and no
        # param, code or library takes part in them.
        path = scratch_directory("downloads", fingerprint(source.source)) / "file"
        return Located([(path, source.source)], download(source.source, path, source.sha256, key=key))
    paths = (list_files or local_files)(key, source.path)
    if paths == [source.path]:
        digest = checked_sha256(file_sha256(source.path), source.source, source.sha256, key)
        return Located([(source.path, source.source)], digest)
    folder = source.followed or Path()
    named = {path.relative_to(folder).as_posix(): path for path in paths}
    note(f"{source.source}: {counted(len(paths), 'file')}, {paths[0]} to {paths[-1]}")
    return Located([(path, str(path)) for path in paths], _sha256(key, source, named))


def local_files(key: str, path: Path) -> list[Path]:
    """Return the files that a path stands for, sorted by name: itself, those of a folder, or those of a pattern.

    Of a folder, the files directly in it whose names end as one of the formats; the others are named to who watches.
    Raises `UserError` where there is none.
    """
    if is_pattern(path):
        names = glob.glob(str(path), recursive=True)  # noqa: PTH207 - leaves hidden files out, as a shell does
        found = sorted(Path(name) for name in names if Path(name).is_file())
        if not found:
            raise UserError(f"{path} matches no file: check {key}.source")
        return found
    if not path.is_dir():
        if path.is_file():
            return [path]
        raise UserError(
            f"{path} is not a file: set {key}.source to embedded, to the path of a file or folder, to an "
            "http(s) URL or to hub:owner/name"
        )
    files = sorted(file for file in path.iterdir() if file.is_file() and not file.name.startswith("."))
    found = [file for file in files if Path(file.name.lower().removesuffix(".gz")).suffix in KINDS]
    if not found:
        raise UserError(f"{path} is a folder without a file that ends in {', '.join(KINDS)}: check {key}.source")
    if others := [file.name for file in files if file not in found]:
        more = f" and {len(others) - SHOWN_FILES} more" if len(others) > SHOWN_FILES else ""
        note(f"{path}: not read, because of their endings: {', '.join(others[:SHOWN_FILES])}{more}")
    return found


def _sha256(key: str, source: SourceParams, named: dict[str, Path]) -> str:
    """Return the SHA-256 of the list of files, checked against the one that params.yaml expects."""
    listed = "".join(f"{file_sha256(path)}  {name}\n" for name, path in named.items())
    return checked_sha256(hashlib.sha256(listed.encode()).hexdigest(), source.source, source.sha256, key)
