"""Files of a Git revision or of the workspace, read without touching the workspace.

What Git tracks is read from Git. What DVC tracks is looked up in the dvc.lock of that revision and read from the
workspace (for the workspace itself), from DVC's local cache, or from the remote.
"""

import json
import subprocess
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from reprotune.errors import UserError

WORKSPACE = "workspace"
CACHE = Path(".dvc/cache/files/md5")
"""Where DVC keeps objects by default; a cache elsewhere is read through DVC itself, which takes 0.5 s longer."""


class Revision:
    """One state of the repository at `root`: the Git revision `name`, the workspace, or another checkout's folder.

    Raises `UserError` if Git knows no such revision.
    """

    def __init__(self, name: str, root: Path = Path()) -> None:
        self.name = name
        checkout = Path(name)
        self.root = (checkout if (checkout / "dvc.yaml").is_file() else root).resolve()
        self.commit = None if name == WORKSPACE or self.root == checkout.resolve() else self._resolve()

    @cached_property
    def title(self) -> str:
        """The name as it is shown, with the short commit unless it is one."""
        if self.name == WORKSPACE:
            return WORKSPACE
        if self.commit is None:
            return f"checkout of {self._git('rev-parse', 'HEAD').stdout[:8] or self.name}"
        return self.commit[:8] if self.commit.startswith(self.name) else f"{self.name} ({self.commit[:8]})"

    def text(self, path: str) -> str:
        """Return a file that Git tracks; raises `UserError` if the revision has no such file."""
        if self.commit is None:
            if not (self.root / path).is_file():
                raise UserError(f"{self.title} has no {path}: run from the folder that holds params.yaml")
            return (self.root / path).read_text(encoding="utf-8")
        # "./" makes the path relative to the folder, which may be below the root of the Git repository
        shown = self._git("show", f"{self.commit}:./{path}")
        if shown.returncode:
            raise UserError(f"{self.title} has no {path}: choose a revision whose pipeline has run (`dvc.lock` in Git)")
        return shown.stdout

    def yaml(self, path: str) -> Any:
        """Return a YAML 1.2 file that Git tracks as plain dictionaries and lists."""
        try:
            return YAML(typ="safe", pure=True).load(self.text(path))
        except YAMLError as error:
            raise UserError(f"{path} of {self.title} is not valid YAML: {' '.join(str(error).split())}") from error

    @cached_property
    def lock(self) -> dict[str, Any]:
        """The stages of dvc.lock; empty for a workspace whose pipeline has never run."""
        if self.commit is None and not (self.root / "dvc.lock").is_file():
            return {}
        stages: dict[str, Any] = (self.yaml("dvc.lock") or {}).get("stages", {})
        return stages

    def tracked(self) -> dict[str, str]:
        """Return the files of a Git revision: path -> name of the object with its content."""
        listed = self._git("ls-tree", "-r", "-z", str(self.commit)).stdout
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
        for stage in self.lock.values():
            for item in [*stage.get("deps", []), *stage.get("outs", [])]:
                if item["path"] == path:
                    return str(item["md5"]) if "md5" in item else None
        for stage in self.lock.values():
            for out in stage.get("outs", []):
                if path.startswith(f"{out['path']}/") and str(out.get("md5", "")).endswith(".dir"):
                    return self._listed(out["md5"]).get(path.removeprefix(f"{out['path']}/"))
        return None

    def _listed(self, md5: str) -> dict[str, str]:
        """Return the MD5 of each file of a cached folder; empty if its listing is not in the cache."""
        listing = self._cached(md5)
        if not listing.is_file():
            return {}
        return {entry["relpath"]: entry["md5"] for entry in json.loads(listing.read_text(encoding="utf-8"))}

    def place(self, path: str, target: Path) -> None:
        """Make the artifact `path`, a file or a folder, available at `target`.

        Raises `UserError` if it is not in dvc.lock, or neither in the cache nor in the remote.
        """
        target.parent.mkdir(parents=True, exist_ok=True)
        here = self.root / path
        if self.commit is None and here.exists():
            target.symlink_to(here)
            return
        files = self._cached_files(path)
        if files is None:
            self._fetch(path, target)
            return
        for name, cached in files.items():
            place = target / name if name else target
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(cached)

    def _cached_files(self, path: str) -> dict[str, Path] | None:
        """Return the cached files of an artifact by their path in it (empty for a file); None unless all are cached."""
        out, inner = self._locked_out(path)
        if not out["md5"].endswith(".dir"):
            files = {"": self._cached(out["md5"])}
        else:
            entries = self._listed(out["md5"])
            if inner:
                entries = {"": entries[inner]} if inner in entries else {}
            files = {name: self._cached(md5) for name, md5 in entries.items()}
        return files if files and all(cached.is_file() for cached in files.values()) else None

    def _locked_out(self, path: str) -> tuple[dict[str, Any], str]:
        """Return the entry in dvc.lock that contains `path`, and the rest of the path within it."""
        for stage in self.lock.values():
            for out in stage.get("outs", []):
                if path == out["path"]:
                    return out, ""
                if path.startswith(f"{out['path']}/"):
                    return out, path.removeprefix(f"{out['path']}/")
        raise UserError(f"{self.title} has no {path}: run `dvc repro` there and commit dvc.lock")

    def _cached(self, md5: str) -> Path:
        return self.root / CACHE / md5[:2] / md5[2:]

    def _fetch(self, path: str, target: Path) -> None:
        """Read an artifact through DVC, which knows caches elsewhere and remotes."""
        try:
            self._dvc.get(path, str(target), recursive=True)
        except Exception as error:  # no remote, network, permission or object: DVC's exceptions have no common base
            raise UserError(
                f"{path} of {self.title} is not in DVC's cache and cannot be read from a remote "
                f"({type(error).__name__}: {' '.join(str(error).split())[:200]}): run `dvc push` where it was made, or "
                f"`dvc repro` in a checkout of {self.name}"
            ) from error

    @cached_property
    def _dvc(self) -> Any:
        from dvc.api import DVCFileSystem  # noqa: PLC0415 - takes 0.3 s and is seldom needed

        return DVCFileSystem(str(self.root), rev=self.commit)

    def _resolve(self) -> str:
        found = self._git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{self.name}^{{commit}}")
        if found.returncode:
            raise UserError(
                f"Git knows no revision {self.name!r}: give a branch, tag or commit (in a shallow clone, run "
                "`git fetch --unshallow` first)"
            )
        return found.stdout.strip()

    def _git(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = ["git", "-C", str(self.root), *arguments]
        return subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=False)  # noqa: S603 - fixed program, no shell
