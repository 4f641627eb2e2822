"""The files of a benchmark, wherever they are, and which split and subject each belongs to."""

import re
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from os.path import commonpath
from pathlib import Path, PurePosixPath
from typing import Literal, NamedTuple

from reprotune.console import counted, note
from reprotune.dataset.sources.located import local_files as files_of_path
from reprotune.dataset.sources.located import located
from reprotune.dataset.sources.readers import KINDS
from reprotune.errors import UserError
from reprotune.multiple_choice.archive import copied_members, is_archive
from reprotune.multiple_choice.contracts import ITEM, SHOT
from reprotune.params.sections.benchmark import BenchmarkSourceParams
from reprotune.params.sections.dataset import HUB, SourceParams

KEY = "fetch.benchmark"
PUBLISHED = re.compile(r"(?P<subject>.+)_(?P<split>dev|val|test)\.csv(\.gz)?", re.IGNORECASE)
"""Name of a file as Hendrycks et al. publish MMLU: no header, but question, choices and the letter of the answer."""
PUBLISHED_SPLITS = ("dev", "val", "test")
PUBLISHED_ITEMS = "test"

Role = Literal["item", "shot", "other", "by row"]


class ItemFile(NamedTuple):
    """One file of a benchmark."""

    path: Path
    name: str
    """What the user calls it."""
    role: Role
    """What its rows are by its name; `other`: of a split that is not asked for, unless a row says more."""
    subject: str | None
    """As its name has it; None where the name has none."""
    format: str


class Files(NamedTuple):
    """What a benchmark consists of."""

    files: list[ItemFile]
    sha256: str


@contextmanager
def item_files(params: BenchmarkSourceParams, source: SourceParams) -> Iterator[Files]:
    """Yield the files in the order in which they are read; those from an archive are gone afterwards.

    What is on the network is downloaded. Raises `UserError` where there are none.
    """
    on_hub = source.source.startswith(HUB)
    further = [params.shots_split] if on_hub and params.shots_split else []
    found = located(KEY, source, further, lambda key, path: _local_files(key, path, params))
    if on_hub:
        names = [(path, name, name.removeprefix(f"{source.source}/")) for path, name in found.files]
        yield Files([_file(path, name, within, params, source.hub.split) for path, name, within in names], found.sha256)
        return
    with _described(found.files, params, source) as files:
        yield Files(files, found.sha256)


@contextmanager
def local_item_files(params: BenchmarkSourceParams, source: SourceParams, path: Path) -> Iterator[list[ItemFile]]:
    """Yield the files of a source on this machine as `item_files` does, without their hash."""
    found = [(file, str(file)) for file in _local_files(KEY, path, params)]
    with _described(found, params, source) as files:
        yield files


@contextmanager
def _described(
    found: list[tuple[Path, str]], params: BenchmarkSourceParams, source: SourceParams
) -> Iterator[list[ItemFile]]:
    """Yield what the names of the files tell, those in an archive in its place."""
    root = source.path if source.path is not None and source.path.is_dir() else None
    with tempfile.TemporaryDirectory() as folder:
        files = []
        for path, name in found:
            if len(found) == 1 and is_archive(path, name, KEY):
                files += _members(path, name, Path(folder), params)
            else:
                within = path.relative_to(root).as_posix() if root else PurePosixPath(name).name
                files.append(_file(path, name, within, params))
        yield _asked_for(files, source.source)


def _file(path: Path, name: str, within: str, params: BenchmarkSourceParams, hub_split: str | None = None) -> ItemFile:
    """Describe a file by its name `within` the source."""
    base = PurePosixPath(within).name
    published = PUBLISHED.fullmatch(base)
    role: Role = "by row"
    if published:
        split = published["split"].lower()
        wanted = {params.split or PUBLISHED_ITEMS: ITEM, params.shots_split: SHOT}
        role = wanted.get(split, "other")  # type: ignore[assignment]
    elif hub_split is not None:
        role = SHOT if params.shots_split and not _is_of(within, hub_split) else ITEM  # type: ignore[assignment]
    elif params.shots_split and _is_of(within, params.shots_split):
        role = SHOT  # type: ignore[assignment]
    elif params.split is not None:
        role = ITEM if _is_of(within, params.split) else "other"  # type: ignore[assignment]
    kind = KINDS.get(PurePosixPath(base.lower().removesuffix(".gz")).suffix, "auto")
    return ItemFile(
        path,
        name,
        role,
        published["subject"] if published else None,
        kind if params.format == "auto" else params.format,
    )


def _is_of(within: str, split: str) -> bool:
    return re.search(rf"(?:^|[/._-]){re.escape(split)}(?:[/._-]|$)", within) is not None


def _asked_for(files: list[ItemFile], source: str) -> list[ItemFile]:
    """Leave out the files of MMLU's splits that are not asked for: their names alone tell, for they have no columns."""
    unread = [file for file in files if file.role == "other" and file.subject is not None]
    if unread:
        note(f"{source}: {counted(len(unread), 'file')} of other splits not read, such as {unread[0].name}")
    kept = [file for file in files if file not in unread]
    if not kept:
        raise UserError(
            f"{source} has files of other splits only, such as {unread[0].name}: set {KEY}.split to the one to ask"
        )
    return kept


def _local_files(key: str, path: Path, params: BenchmarkSourceParams) -> list[Path]:
    """Return the files of a path; of a folder those in it, or else those in its folders `dev`, `val`, `test`, ..."""
    if not path.is_dir():
        return files_of_path(key, path)
    inner = [folder for folder in path.iterdir() if folder.is_dir() and folder.name in _split_folders(params)]
    files = [file for folder in (path, *inner) for file in folder.iterdir() if file.is_file()]
    names = _chosen((file.relative_to(path).as_posix() for file in files), params)
    return [path / name for name in names] or files_of_path(key, path)


def _split_folders(params: BenchmarkSourceParams) -> set[str | None]:
    return {*PUBLISHED_SPLITS, params.split, params.shots_split}


def _chosen(names: Iterable[str], params: BenchmarkSourceParams) -> list[str]:
    """Return which names are read, sorted: those of a known ending outside of folders, or else in those of splits."""
    known = sorted(
        name
        for name in names
        if PurePosixPath(name.lower().removesuffix(".gz")).suffix in KINDS
        and not any(part.startswith(".") for part in PurePosixPath(name).parts)
    )
    outside = [name for name in known if "/" not in name]
    inside = [name for name in known if name.count("/") == 1 and name.partition("/")[0] in _split_folders(params)]
    return outside or inside


def _members(path: Path, name: str, folder: Path, params: BenchmarkSourceParams) -> list[ItemFile]:
    """Return the files of an archive as those of a folder; the folder that holds all of them does not count."""
    copies = {str(PurePosixPath(member)): copy for member, copy in copied_members(path, name, KEY, folder)}
    known = [member for member in copies if PurePosixPath(member.lower().removesuffix(".gz")).suffix in KINDS]
    if not known:
        raise UserError(f"{name} holds no file that ends in {', '.join(KINDS)}: check {KEY}.source")
    common = commonpath([PurePosixPath(member).parent for member in known])
    within = {PurePosixPath(member).relative_to(common).as_posix(): member for member in known}
    chosen = _chosen(within, params)
    if not chosen:
        raise UserError(f"{name} holds no files at its top or in folders named dev, val or test: check {KEY}.source")
    return [_file(copies[within[one]], f"{name}/{within[one]}", within[one], params) for one in chosen]
