"""Tar archives: plain files come out under numbers, and nothing else does."""

import gzip
import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from reprotune.errors import UserError
from reprotune.multiple_choice import archive
from reprotune.multiple_choice.archive import copied_members, is_archive

Pack = Callable[..., Path]


@pytest.fixture
def pack(tmp_path: Path) -> Pack:
    """Write an archive of (name, content, changes of the header) and return its path."""

    def pack(*members: tuple[str, bytes, dict[str, object]], name: str = "items.tar") -> Path:
        path = tmp_path / name
        with tarfile.open(path, "w:gz" if name.endswith("gz") else "w") as file:
            for inside, content, changes in members:
                header = tarfile.TarInfo(inside)
                header.size = len(content)
                for key, value in changes.items():
                    setattr(header, key, value)
                file.addfile(header, io.BytesIO(content))
        return path

    return pack


def read(path: Path, folder: Path) -> dict[str, bytes]:
    folder.mkdir()
    return {name: copy.read_bytes() for name, copy in copied_members(path, path.name, "fetch.benchmark", folder)}


@pytest.mark.parametrize("name", ["items.tar", "items.tar.gz", "items.tgz"])
def test_plain_files_whatever_the_packing(pack: Pack, tmp_path: Path, name: str) -> None:
    path = pack(("data/dev/a_dev.csv", b"1", {}), ("data/._a", b"2", {}), ("b.csv", b"", {}), name=name)
    assert is_archive(path, name, "fetch.benchmark")
    assert read(path, tmp_path / "out") == {"data/dev/a_dev.csv": b"1", "b.csv": b""}
    assert {copy.name for copy in (tmp_path / "out").iterdir()} <= {"0", "1", "2"}


def test_known_by_content_under_any_name(pack: Pack, tmp_path: Path) -> None:
    assert is_archive(pack(("a.csv", b"1", {}), name="x.tgz").rename(tmp_path / "file"), "file", "fetch.benchmark")
    (tmp_path / "rows.csv.gz").write_bytes(gzip.compress(b"a,b\n1,2\n"))
    assert not is_archive(tmp_path / "rows.csv.gz", "rows.csv.gz", "fetch.benchmark")


@pytest.mark.parametrize("inside", ["../evil.csv", "/etc/evil.csv", "a/../../evil.csv"])
def test_a_name_that_leads_outside_is_refused(pack: Pack, tmp_path: Path, inside: str) -> None:
    with pytest.raises(UserError, match=r"items\.tar: the file .*evil\.csv' in it leads outside of it"):
        read(pack((inside, b"1", {})), tmp_path / "out")
    assert not list(tmp_path.rglob("*evil*"))


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_are_refused(pack: Pack, tmp_path: Path, kind: bytes) -> None:
    with pytest.raises(UserError, match=r"'a\.csv' in it is no plain file, but a link or device"):
        read(pack(("a.csv", b"", {"type": kind, "linkname": "/etc/passwd"})), tmp_path / "out")


def test_an_archive_that_unfolds_without_an_end(pack: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "UNPACKED_BYTES", 100_000)
    path = pack(("a.csv", b"x" * 5_000_000, {}), name="items.tgz")
    with pytest.raises(UserError, match=r"items\.tgz unfolds to more than 250 times its size"):
        read(path, tmp_path / "out")
    monkeypatch.setattr(archive, "MOST_MEMBERS", 1)
    with pytest.raises(UserError, match="holds more than 1 files"):
        read(pack(("a", b"", {}), ("b", b"", {})), tmp_path / "more")


def test_a_damaged_archive(pack: Pack, tmp_path: Path) -> None:
    path = pack(("a.csv", b"x" * 5_000, {}), name="items.tgz")
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(UserError, match=r"items\.tgz is not a readable tar archive"):
        read(path, tmp_path / "out")
    (tmp_path / "no.tar").write_bytes(b"question,choices\n" * 100)
    with pytest.raises(UserError, match=r"no\.tar is not a readable tar archive"):
        read(tmp_path / "no.tar", tmp_path / "other")
