"""dvc.lock and listings of folders that somebody else wrote: what DVC would not write is refused by name."""

import json
from pathlib import Path
from typing import Any

import pytest

from reprotune.errors import UserError
from reprotune.pipeline.lock import MOST_FILES, checked_listing, checked_lock, path_fault, read_lock

MD5 = "0123456789abcdef" * 2
FOREIGN = "dvc.lock of fork (1a2b3c4d)"

PATHS = {
    "above the repository": "../escaped.txt",
    "above, from within": "data/../../escaped.txt",
    "here": "./data",
    "empty part": "data//model",
    "absolute": "/etc/passwd",
    "drive": "C:/Windows/win.ini",
    "drive without a slash": "c:escaped.txt",
    "backslash": "..\\escaped.txt",
    "share": "\\\\host\\share",
    "NUL": "data/model\0.json",
    "escape sequence": "data/\x1b[31m",
    "lone surrogate": "data/\udcff",
    "Git's own": ".git/hooks/post-checkout",
    "DVC's own": ".DVC/config",
    "endless": "a" * 5000,
    "nothing": "",
    "number": 7,
    "list": ["data/model"],
    "null": None,
}
HASHES = {
    "climbs": "../../../../etc/passwd",
    "short": MD5[:-1],
    "long": MD5 + "0",
    "upper case": MD5.upper(),
    "line break": MD5 + "\n",
    "slash": "ab/" + MD5[3:],
    "twice a folder": MD5 + ".dir.dir",
    "wide digits": "０" * 32,
    "list": [MD5],
    "null": None,
}


def lock(**stages: Any) -> dict[str, Any]:
    return {"schema": "2.0", "stages": stages}


def with_out(path: Any = "data/model", md5: Any = MD5) -> dict[str, Any]:
    return lock(train={"cmd": "train", "outs": [{"path": path, "md5": md5, "hash": "md5", "size": 3}]})


def refusal(document: Any) -> str:
    with pytest.raises(UserError) as caught:
        checked_lock(document, FOREIGN)
    text = str(caught.value)
    assert text.startswith(FOREIGN)
    assert text.isprintable(), "nothing of it may move the cursor of a terminal"
    assert len(text) < 400
    return text


def listing_refusal(content: bytes) -> str:
    with pytest.raises(UserError) as caught:
        checked_listing(content, "the listing of data/model of fork (1a2b3c4d)")
    text = str(caught.value)
    assert text.startswith("the listing of data/model of fork (1a2b3c4d)")
    assert text.isprintable()
    return text


def listing(*entries: Any) -> bytes:
    return json.dumps(entries).encode()


def entry(path: Any = "a.json", md5: Any = MD5) -> dict[str, Any]:
    return {"relpath": path, "md5": md5}


def test_what_dvc_writes_is_read() -> None:
    stage = {
        "cmd": "train",
        "deps": [{"path": "/far/rows.jsonl", "hash": "md5", "md5": MD5, "size": 1}, {"path": "data/base"}],
        "params": {"params.yaml": {"train": {"epochs": 2}}},
        "outs": [{"path": "data/model", "hash": "md5", "md5": f"{MD5}.dir", "size": 1, "nfiles": 1}],
    }
    checked = checked_lock(lock(train=stage), FOREIGN)["train"]
    assert checked["deps"] == [{"path": "/far/rows.jsonl", "md5": MD5}, {"path": "data/base"}]
    assert checked["outs"] == [{"path": "data/model", "md5": f"{MD5}.dir"}]
    assert (checked["cmd"], checked["params"]) == ("train", stage["params"])
    assert checked_lock(None) == {}
    assert checked_listing(listing(entry("plots/loss.csv")), "it") == {"plots/loss.csv": MD5}


def test_a_hash_of_digits_alone_may_be_a_number() -> None:
    digits = "12345678901234567890123456789012"
    assert checked_lock(with_out(md5=int(digits)))["train"]["outs"][0]["md5"] == digits


@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)
def test_a_path_stays_inside(path: Any) -> None:
    assert path_fault(path)
    assert repr(path)[:50] in refusal(with_out(path))
    assert repr(path)[:50] in listing_refusal(listing(entry(path)))


@pytest.mark.parametrize("path", ["ab:c.json", "data/..hidden", "x..", "naïve/文.csv", "a b/c", ".gitignore"])
def test_unusual_names_are_no_fault(path: str) -> None:
    assert path_fault(path) == ""


@pytest.mark.parametrize("md5", HASHES.values(), ids=HASHES)
def test_a_hash_is_32_hex_digits(md5: Any) -> None:
    assert "not 32 hex digits" in refusal(with_out(md5=md5))
    assert "not 32 hex digits" in listing_refusal(listing(entry(md5=md5)))
    assert "not 32 hex digits" in refusal(lock(train={"deps": [{"path": "src", "md5": md5}]}))


@pytest.mark.parametrize(
    ("outs", "words"),
    [
        (["data/model", "data/model"], "'data/model' twice"),
        (["data/model", "data/model/weights"], "lies inside another entry"),
        (["data/model/weights", "data/model"], "lies inside another entry"),
    ],
)
def test_no_file_has_two_entries(outs: list[str], words: str) -> None:
    stages = {f"stage{place}": {"cmd": "x", "outs": [{"path": path, "md5": MD5}]} for place, path in enumerate(outs)}
    assert words in refusal(lock(**stages))
    assert words in listing_refusal(listing(*map(entry, outs)))


@pytest.mark.parametrize(
    "document",
    [
        [],
        "text",
        {"stages": []},
        lock(train=None),
        lock(train={"outs": {"path": "x"}}),
        lock(train={"outs": ["data/model"]}),
        lock(train={"deps": 5}),
        lock(train={"deps": [{"md5": MD5}]}),
        lock(train={"params": []}),
        lock(train={"params": {"params.yaml": ["x"]}}),
        {"stages": {"\x1b[2J": 5}},
    ],
    ids=repr,
)
def test_another_shape_is_refused(document: Any) -> None:
    refusal(document)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"[5]",
        b"not JSON",
        b"\xff\xfe",
        b"[" * 100_000,
        b'[{"relpath": "a"}]',
        listing(entry(md5=f"{MD5}.dir")),
    ],
    ids=lambda content: repr(content[:20]),
)
def test_another_listing_is_refused(content: bytes) -> None:
    listing_refusal(content)


def test_the_number_of_files_is_bounded() -> None:
    assert "at most" in listing_refusal(listing(*[entry()] * (MOST_FILES + 1)))


CUT = "schema: '2.0'\nstages:\n  train:\n    cmd: train\n    outs:\n    - path: data/model\n      md5: 0123"
SPOILED_LOCKS = {
    "empty": (b"", "dvc.lock is empty, because DVC was killed while it wrote it: "),
    "blank": (b"\n\n", "dvc.lock is empty, because DVC was killed while it wrote it: "),
    "NUL": (b"\0" * 4096, "dvc.lock "),
    "latin-1": ("schema: '2.0' # naïve".encode("latin-1"), "dvc.lock line 1 is not UTF-8 text (byte 0xef): "),
    "conflict": (b"<<<<<<< HEAD\nschema: '2.0'\n=======\nstages: {}\n>>>>>>> theirs\n", "dvc.lock line "),
    "no schema": (b"{}\n", "dvc.lock lacks `schema`, with which DVC begins it: "),
}


@pytest.mark.parametrize(("content", "words"), SPOILED_LOCKS.values(), ids=SPOILED_LOCKS)
def test_a_lock_that_dvc_would_not_read_is_named_with_the_cure(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "dvc.lock").write_bytes(content)
    with pytest.raises(UserError) as caught:
        read_lock(tmp_path)
    text = str(caught.value)
    assert text.startswith(words)
    assert "\n" not in text
    assert text.count("run `git checkout HEAD -- dvc.lock` (or delete the file if none was ever committed)") == 1


@pytest.mark.parametrize("length", range(1, len(CUT)))
def test_a_lock_that_is_cut_off_anywhere_is_read_or_named(tmp_path: Path, length: int) -> None:
    """As DVC does with its schema; a stage of which nothing is there any more is one that has never run."""
    (tmp_path / "dvc.lock").write_text(CUT[:length])
    try:
        stages = read_lock(tmp_path)
    except UserError as error:
        assert "dvc.lock" in str(error)
    else:
        assert all(isinstance(stage["cmd"], str) for stage in stages.values())


def test_no_lock_is_none_that_is_damaged(tmp_path: Path) -> None:
    assert read_lock(tmp_path) == {}
