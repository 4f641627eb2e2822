"""What is read of a revision that somebody else made: nothing outside, nothing unchecked, nothing endless."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from reprotune.compare.revision import Revision
from reprotune.compare.snapshot import read_snapshot
from reprotune.errors import UserError
from tests.compare.test_stale import git

TEXT = b'{"score": 1}'


def md5_of(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


class Foreign:
    """A repository whose one commit holds a dvc.lock, with the objects of a cache."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.cache = root / ".dvc/cache/files/md5"
        root.mkdir()
        git(root, "init", "--quiet")
        (root / ".dvc").mkdir()
        (root / ".dvc/config").touch()
        (root / ".gitignore").write_text(".dvc/cache\n.dvc/tmp\n")

    def store(self, content: bytes, md5: str | None = None, at: Path | None = None) -> str:
        """Put content into the cache, under its own hash unless told otherwise; returns the hash."""
        md5 = md5 or md5_of(content)
        place = (at or self.cache) / md5[:2] / md5[2:]
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
        return md5

    def folder(self, files: dict[str, str], at: Path | None = None) -> str:
        """Put a listing into the cache; returns its hash."""
        content = json.dumps([{"md5": md5, "relpath": path} for path, md5 in files.items()]).encode()
        return self.store(content, f"{md5_of(content)}.dir", at)

    def commit(self, **outs: Any) -> Revision:
        """Commit a dvc.lock with these outs (`__` for a slash) and return that revision."""
        listed = [{"path": path.replace("__", "/"), "md5": md5, "hash": "md5"} for path, md5 in outs.items()]
        with (self.root / "dvc.lock").open("w", encoding="utf-8") as file:
            YAML().dump({"schema": "2.0", "stages": {"train": {"cmd": "train", "outs": listed}}}, file)
        (self.root / "params.yaml").write_text("a: 1\n")
        git(self.root, "add", "--all")
        git(self.root, "commit", "--quiet", "--message", "foreign")
        return Revision("HEAD", self.root)


@pytest.fixture
def foreign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Foreign:
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "site"))
    monkeypatch.setenv("DVC_NO_ANALYTICS", "1")
    return Foreign(tmp_path / "repository")


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    (tmp_path / "scratch").mkdir()
    return tmp_path / "scratch"


def test_what_a_revision_has_is_told_by_its_lock(foreign: Foreign) -> None:
    listing = foreign.folder({"items.parquet": foreign.store(TEXT)})
    revision = foreign.commit(data__benchmark=listing, data__benchmarked__base__parquet=foreign.store(TEXT))
    assert revision.has("data/benchmark/items.parquet")
    assert revision.has("data/benchmarked/base/parquet")
    assert not revision.has("data/benchmarked/finetuned.parquet")
    assert not revision.has("dvc.lock")


def refusal(revision: Revision, path: str, scratch: Path) -> str:
    with pytest.raises(UserError) as caught:
        revision.place(path, scratch / "target/file.json", scratch)
    assert revision.title in str(caught.value)
    return str(caught.value)


def test_what_the_cache_has_is_linked(foreign: Foreign, scratch: Path) -> None:
    revision = foreign.commit(data__model=foreign.folder({"metrics.json": foreign.store(TEXT)}))
    revision.place("data/model/metrics.json", scratch / "deep/metrics.json", scratch)
    assert (scratch / "deep/metrics.json").read_bytes() == TEXT
    assert revision.locked_hash("data/model/metrics.json") == md5_of(TEXT)
    assert "has no data/model/other.json" in refusal(revision, "data/model/other.json", scratch)
    assert "has no data/model" in refusal(revision, "data/model", scratch)


def test_a_listing_cannot_name_a_file_outside(foreign: Foreign, scratch: Path, tmp_path: Path) -> None:
    content = foreign.store(TEXT)
    revision = foreign.commit(data__model=foreign.folder({"metrics.json": content, "../../escaped.txt": content}))
    assert "'../../escaped.txt', which leads elsewhere" in refusal(revision, "data/model/metrics.json", scratch)
    assert not list(tmp_path.rglob("escaped.txt"))


@pytest.mark.parametrize("hostile", ["../../../../../secret", "ab" * 15 + "/x"])
def test_a_hash_cannot_be_a_path(foreign: Foreign, scratch: Path, hostile: str) -> None:
    (foreign.root.parent / "secret").write_text("secret")
    assert "not 32 hex digits" in refusal(foreign.commit(data=hostile), "data", scratch)


def test_content_with_another_hash_is_refused(foreign: Foreign, scratch: Path) -> None:
    wrong = foreign.store(b"other content", md5_of(TEXT))
    folder = foreign.folder({"metrics.json": wrong})
    revision = foreign.commit(data__model=folder, data__loss=wrong)
    for path in ("data/model/metrics.json", "data/loss"):
        assert "is not what its dvc.lock says" in refusal(revision, path, scratch)
    (foreign.cache / folder[:2] / folder[2:]).write_text("[]")
    assert f"not {folder.removesuffix('.dir')}" in refusal(Revision("HEAD", foreign.root), "data/model/x", scratch)


def test_a_link_in_the_cache_is_not_followed(foreign: Foreign, scratch: Path, tmp_path: Path) -> None:
    md5 = md5_of(TEXT)
    (tmp_path / "elsewhere").write_bytes(TEXT)
    (foreign.cache / md5[:2]).mkdir(parents=True)
    (foreign.cache / md5[:2] / md5[2:]).symlink_to(tmp_path / "elsewhere")
    assert "is a link or no file" in refusal(foreign.commit(data=md5), "data", scratch)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes, which are not here")
def test_a_pipe_in_the_cache_is_not_waited_for(foreign: Foreign, scratch: Path) -> None:
    md5 = md5_of(TEXT)
    (foreign.cache / md5[:2]).mkdir(parents=True)
    os.mkfifo(foreign.cache / md5[:2] / md5[2:])
    assert "is a link or no file" in refusal(foreign.commit(data=md5), "data", scratch)


def test_text_is_of_bounded_size(foreign: Foreign, scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reprotune.compare.objects.TEXT_BYTES", 5)
    revision = foreign.commit(data__metrics=foreign.folder({"a.json": foreign.store(TEXT)}))
    assert "no stage writes that much" in refusal(revision, "data/metrics/a.json", scratch)


@pytest.mark.parametrize("name", ["dvc.lock", "params.yaml", "dvc.yaml"])
def test_what_git_tracks_is_of_bounded_size(foreign: Foreign, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (foreign.root / name).write_text("a: 1\n")
    revision = foreign.commit(data=foreign.store(TEXT))
    monkeypatch.setattr("reprotune.compare.revision.YAML_BYTES", 4)
    for found in (revision, Revision("workspace", foreign.root)):
        with pytest.raises(UserError, match=f"{name} .*has more than"):
            found.yaml(name)


@pytest.mark.parametrize(
    "content",
    [b"\xff\xfe", b"a: &a [*b]", b"[" * 5000, b"a: &a [*a]", b"a: 2001-99-99"],
    ids=lambda text: repr(text[:9]),
)
def test_what_is_no_document_is_one_sentence(foreign: Foreign, content: bytes) -> None:
    foreign.commit(data=foreign.store(TEXT))
    (foreign.root / "params.yaml").write_bytes(content)
    git(foreign.root, "commit", "--quiet", "--all", "--message", "broken")
    for name in ("HEAD", "workspace"):
        with pytest.raises(UserError, match=r"params\.yaml of"):
            read_snapshot(name, foreign.root)


class TestRemote:
    """The same from a remote, where every object comes through DVC."""

    @pytest.fixture
    def storage(self, foreign: Foreign, tmp_path: Path) -> Path:
        settings = f"[core]\n    remote = storage\n['remote \"storage\"']\n    url = {tmp_path}/storage\n"
        (foreign.root / ".dvc/config").write_text(settings)
        return tmp_path / "storage/files/md5"

    def test_what_it_has_is_copied(self, foreign: Foreign, storage: Path, scratch: Path) -> None:
        folder = foreign.folder({"metrics.json": foreign.store(TEXT, at=storage)}, at=storage)
        revision = foreign.commit(data__model=folder)
        revision.place("data/model/metrics.json", scratch / "metrics.json", scratch)
        assert (scratch / "metrics.json").read_bytes() == TEXT

    def test_it_is_checked_too(self, foreign: Foreign, storage: Path, scratch: Path, tmp_path: Path) -> None:
        wrong = foreign.store(b"other content", md5_of(TEXT), at=storage)
        outside = foreign.folder({"../../escaped.txt": foreign.store(b"x", at=storage)}, at=storage)
        revision = foreign.commit(data__loss=wrong, data__model=outside)
        assert "is not what its dvc.lock says" in refusal(revision, "data/loss", scratch)
        assert "leads elsewhere" in refusal(revision, "data/model/x", scratch)
        assert not list(tmp_path.rglob("escaped.txt"))

    def test_what_it_does_not_have_is_said(self, foreign: Foreign, storage: Path, scratch: Path) -> None:
        missing = "is not in DVC's cache and cannot be read from a remote (FileNotFoundError"
        assert missing in refusal(foreign.commit(data=md5_of(b"nowhere")), "data", scratch)

    def test_settings_of_the_revision_are_not_followed(
        self, foreign: Foreign, storage: Path, scratch: Path, tmp_path: Path
    ) -> None:
        settings = (foreign.root / ".dvc/config").read_text()
        (foreign.root / ".dvc/config").write_text(settings.replace(f"{tmp_path}/storage", f"{tmp_path}/theirs"))
        revision = foreign.commit(data=foreign.store(TEXT, at=tmp_path / "theirs/files/md5"))
        (foreign.root / ".dvc/config").write_text(settings)
        assert "cannot be read from a remote" in refusal(revision, "data", scratch)
