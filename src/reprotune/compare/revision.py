"""Files of a Git revision or of the workspace, read without touching the workspace.

What Git tracks is read from Git. What DVC tracks is looked up in the dvc.lock of that revision and read from the
workspace (for the workspace itself), from DVC's local cache, or from the remote. A revision may be anybody's, so its
files are data and nothing else: of bounded size, checked before use, and no setting in them is followed.
"""

import subprocess
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from reprotune.compare.names import commit_of, git
from reprotune.compare.objects import Objects
from reprotune.errors import UserError
from reprotune.files import read_bytes, size_words
from reprotune.params.values import YAML_BYTES, parsed_document
from reprotune.pipeline.lock import FOLDER, checked_lock, read_lock
from reprotune.runs.current import REPEATS_LOCK

WORKSPACE = "workspace"


class Revision:
    """One state of the repository at `root`: the workspace, another checkout's folder, or what `commit_of` knows.

    Raises `UserError` if there is no such revision.
    """

    def __init__(self, name: str, root: Path = Path()) -> None:
        self.name = name
        checkout = Path(name)
        self.root = (checkout if (checkout / "dvc.yaml").is_file() else root).resolve()
        here = name == WORKSPACE or self.root == checkout.resolve()
        self.commit = None if here else commit_of(name, self.root)

    @cached_property
    def title(self) -> str:
        """The name as it is shown, with the short commit unless it is one."""
        if self.name == WORKSPACE:
            return WORKSPACE
        if self.commit is None:
            return f"checkout of {git(self.root, 'rev-parse', 'HEAD').stdout[:8] or self.name}"
        return self.commit[:8] if self.commit.startswith(self.name) else f"{self.name} ({self.commit[:8]})"

    def text(self, path: str) -> str:
        """Return a file that Git tracks; raises `UserError` if the revision has no such file, or no such text."""
        content = self._small(path)
        try:
            return content.decode("utf-8")
        except UnicodeDecodeError as error:
            raise UserError(f"{path} of {self.title} is not UTF-8: restore it from Git") from error

    def _small(self, path: str) -> bytes:
        if self.commit is None:
            if not (self.root / path).is_file():
                raise UserError(f"{self.title} has no {path}: run from the folder that holds params.yaml")
            return read_bytes(self.root / path, "restore it from Git", YAML_BYTES)
        # "./" makes the path relative to the folder, which may be below the root of the Git repository
        size = git(self.root, "cat-file", "-s", f"{self.commit}:./{path}")
        if size.returncode:
            raise UserError(f"{self.title} has no {path}: choose a revision whose pipeline has run (`dvc.lock` in Git)")
        self._check_size(int(size.stdout), path)
        return self._content(f"{self.commit}:./{path}")

    def _check_size(self, size: int, path: str) -> None:
        if size > YAML_BYTES:
            raise UserError(f"{path} of {self.title} has more than {size_words(YAML_BYTES)}: restore it from Git")

    def _content(self, name: str) -> bytes:
        command = ["git", "-C", str(self.root), "cat-file", "blob", name]
        return subprocess.run(command, capture_output=True, check=True).stdout  # noqa: S603 - fixed program, no shell

    def yaml(self, path: str) -> Any:
        """Return a YAML 1.2 file that Git tracks as plain dictionaries and lists."""
        return parsed_document(self.text(path), f"{path} of {self.title}")

    @cached_property
    def lock(self) -> dict[str, Any]:
        """The stages of dvc.lock, checked; empty for a workspace whose pipeline has never run."""
        if self.commit is None:
            return read_lock(self.root)
        return checked_lock(self.yaml("dvc.lock"), f"dvc.lock of {self.title}")

    @cached_property
    def repeats_lock(self) -> dict[str, Any]:
        """The stages of the repeats' dvc.lock, checked; empty where there is none."""
        if self.commit is None:
            return read_lock(self.root / Path(REPEATS_LOCK).parent)
        if git(self.root, "cat-file", "-e", f"{self.commit}:./{REPEATS_LOCK}").returncode:
            return {}
        return checked_lock(self.yaml(REPEATS_LOCK), f"{REPEATS_LOCK} of {self.title}")

    def _stages(self) -> list[dict[str, Any]]:
        return [*self.lock.values(), *self.repeats_lock.values()]

    def tracked(self) -> dict[str, str]:
        """Return the files of a Git revision: path -> name of the object with its content."""
        listed = git(self.root, "ls-tree", "-r", "-z", str(self.commit)).stdout
        entries = (entry.partition("\t") for entry in listed.split("\0") if entry.startswith("100"))
        return {path: about.split()[2] for about, _, path in entries}

    def contents(self, names: Sequence[str]) -> list[bytes]:
        """Return the contents of Git objects."""
        command = ["git", "-C", str(self.root), "cat-file", "--batch"]
        asked = "".join(f"{name}\n" for name in names).encode()
        found = subprocess.run(command, input=asked, capture_output=True, check=True).stdout  # noqa: S603 - fixed program, no shell
        contents, place = [], 0
        for _ in names:
            start = found.index(b"\n", place) + 1
            size = int(found[place:start].split()[2])
            contents.append(found[start : start + size])
            place = start + size + 1
        return contents

    def locked_hash(self, path: str) -> str | None:
        """Return the MD5 of a dep or out, or of a file in an out that is cached, by dvc.lock; null if it is not there.

        A dep's is that of the content that the stage read.
        """
        for stage in self._stages():
            for item in [*stage["deps"], *stage["outs"]]:
                if item["path"] == path:
                    return item.get("md5")
        out, inner = self._locked_out(path) or ({}, "")
        if not out.get("md5", "").endswith(FOLDER):
            return None
        return self._objects.listing(out["md5"], out["path"]).get(inner)

    def has(self, path: str) -> bool:
        """Tell whether an artifact is part of the revision, wherever its content may be."""
        here = self.commit is None and (self.root / path).exists()
        return here or self._locked_out(path) is not None

    def place(self, path: str, target: Path, scratch: Path) -> None:
        """Make the artifact `path`, a file, available at `target`; `scratch` is for what has to be fetched for that.

        Raises `UserError` if it is not in dvc.lock, neither in the cache nor in the remote, or not what dvc.lock says.
        """
        here = self.root / path
        if self.commit is None and here.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(here)
            return
        out, inner = self._locked_out(path) or ({}, "")
        md5 = out.get("md5")
        if md5 and inner:
            folder = self._objects.listing(md5, out["path"], scratch) if md5.endswith(FOLDER) else {}
            md5 = folder.get(inner)
        if not md5 or md5.endswith(FOLDER):
            raise UserError(f"{self.title} has no {path}: run `dvc repro` there and commit dvc.lock")
        self._objects.place(md5, path, target)

    def _locked_out(self, path: str) -> tuple[dict[str, str], str] | None:
        """Return the out in dvc.lock that is or contains `path`, and the rest of the path within it."""
        for stage in self._stages():
            for out in stage["outs"]:
                if path == out["path"] or path.startswith(f"{out['path']}/"):
                    return out, path.removeprefix(out["path"]).removeprefix("/")
        return None

    @cached_property
    def _objects(self) -> Objects:
        return Objects(self.root, self.title)
