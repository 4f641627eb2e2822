"""Content by its hash: from DVC's cache or else from a remote, and never without checking that it has that hash."""

import hashlib
import stat
from functools import cached_property
from pathlib import Path
from typing import Any

from reprotune.errors import UserError
from reprotune.pipeline.lock import FOLDER, LISTING_BYTES, checked_listing
from reprotune.pipeline.settings import cache_folder

TEXT_BYTES = 64 << 20
"""Largest JSON or CSV file that is read: it is read as a whole."""
CHUNK = 1 << 20


class Objects:
    """What the repository at `root` can read, through its own settings: those of a revision are not asked.

    `title` names the revision that wants it, for errors. Hashes must be well-formed, as `checked_lock` leaves them.
    """

    def __init__(self, root: Path, title: str) -> None:
        self.root, self.title = root, title
        self._cache = cache_folder(root) / "files/md5"
        self._listings: dict[str, dict[str, str]] = {}

    def listing(self, md5: str, path: str, scratch: Path | None = None) -> dict[str, str]:
        """Return the files of the folder `path`, path in it -> MD5.

        Without `scratch`, a folder for what has to be fetched, it is empty if the local cache does not have the
        listing. Raises `UserError` if the listing cannot be fetched or is not what DVC writes.
        """
        if md5 in self._listings:
            return self._listings[md5]
        place = self._cached(md5, path)
        if place is None:
            if scratch is None:
                return {}
            place = scratch / md5
            self._fetch(md5, path, place)
        self._listings[md5] = checked_listing(place.read_bytes(), f"the listing of {path} of {self.title}")
        return self._listings[md5]

    def place(self, md5: str, path: str, target: Path) -> None:
        """Make the content of the file `path` available at `target`: a link into the cache, or a copy from a remote.

        Raises `UserError` if it cannot be had, is not what the hash says, or is text of more than `TEXT_BYTES`.
        """
        target.parent.mkdir(parents=True, exist_ok=True)
        if (cached := self._cached(md5, path)) is not None:
            target.symlink_to(cached)
        else:
            self._fetch(md5, path, target)

    def _cached(self, md5: str, path: str) -> Path | None:
        """Return where the local cache has an object; null if it does not."""
        place = self._cache / md5[:2] / md5[2:]
        try:
            state = place.lstat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        mend = f"delete {place} and run `dvc pull`"
        if not stat.S_ISREG(state.st_mode):
            raise UserError(f"{path} of {self.title} is a link or no file in DVC's cache: {mend}")
        self._check_size(state.st_size, md5, path)
        with place.open("rb") as file:
            digest = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
        self._check_hash(digest, md5, path, mend)
        return place

    def _fetch(self, md5: str, path: str, target: Path) -> None:
        """Copy an object through DVC, which knows caches elsewhere and remotes."""
        digest = hashlib.md5(usedforsecurity=False)
        try:
            store = self._store(md5)
            size = 0
            with store.fs.open(store.oid_to_path(md5), "rb") as source, target.open("wb") as copy:
                while chunk := source.read(CHUNK):
                    size += len(chunk)
                    self._check_size(size, md5, path)
                    digest.update(chunk)
                    copy.write(chunk)
        except UserError:
            raise
        except Exception as error:  # no remote, network, permission or object: DVC's exceptions have no common base
            raise UserError(
                f"{path} of {self.title} is not in DVC's cache and cannot be read from a remote "
                f"({type(error).__name__}: {' '.join(str(error).split())[:200]}): run `dvc push` where it was made, or "
                "`dvc repro` in a checkout of that revision"
            ) from error
        self._check_hash(digest.hexdigest(), md5, path, "run `dvc push` where it was made")

    def _store(self, md5: str) -> Any:
        """Return DVC's cache if it has the object, as one that all of a user's repositories share; else the remote."""
        cache = self._repository.cache.local
        return cache if cache.exists(md5) else self._repository.cloud.get_remote_odb()

    def _check_size(self, size: int, md5: str, path: str) -> None:
        most = LISTING_BYTES if md5.endswith(FOLDER) else TEXT_BYTES if path.endswith((".json", ".csv")) else size
        if size > most:
            what = f"the listing of {path}" if md5.endswith(FOLDER) else path
            raise UserError(f"{self.title}: {what} has more than {most >> 20} MB, and no stage writes that much")

    def _check_hash(self, found: str, md5: str, path: str, mend: str) -> None:
        wanted = md5.removesuffix(FOLDER)
        if found != wanted:
            raise UserError(
                f"{path} of {self.title} is not what its dvc.lock says: the hash of its content is {found}, not "
                f"{wanted}: {mend}"
            )

    @cached_property
    def _repository(self) -> Any:
        from dvc.repo import Repo  # noqa: PLC0415 - takes 0.3 s and is seldom needed

        return Repo(str(self.root))
