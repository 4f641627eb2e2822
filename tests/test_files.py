"""What people name is opened with care: each thing that is no bounded UTF-8 file is one sentence, without waiting."""

import json
import os
from pathlib import Path

import pytest

from reprotune import files
from reprotune.errors import UserError
from reprotune.files import parsed_json, read_bytes, read_json, read_text, size_words


def special(kind: str, path: Path) -> Path:
    """Put something at `path` that is no file of text."""
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "device without an end":
        path.symlink_to("/dev/zero")
    elif kind == "link to itself":
        path.symlink_to(path.name)
    elif kind == "latin-1":
        path.write_bytes("naïve".encode("latin-1"))
    elif kind == "UTF-16":
        path.write_bytes("a: 1".encode("utf-16"))
    elif kind == "large":
        path.write_bytes(b"x" * 2000)
    return path


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes, which are not here")
@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("nothing", "is missing: mend it"),
        ("folder", "is a folder and no file: mend it"),
        ("pipe", "is a pipe, a socket or a device and no file: mend it"),
        ("device without an end", "is a pipe, a socket or a device and no file: mend it"),
        ("link to itself", "is a link that leads back to itself: mend it"),
        ("latin-1", "line 1 is not UTF-8 text (byte 0xef): save the file as UTF-8"),
        ("UTF-16", "line 1 is not UTF-8 text (byte 0xff): save the file as UTF-8"),
        ("large", "has more than 1 kB, which is the limit: mend it"),
    ],
)
def test_what_is_no_bounded_text_is_one_sentence(tmp_path: Path, kind: str, words: str) -> None:
    path = special(kind, tmp_path / "it")
    with pytest.raises(UserError) as refusal:
        read_text(path, "mend it", 1 << 10)
    assert str(refusal.value) == f"{path} {words}"


@pytest.mark.parametrize("name", ["x" * 300, "a\0b", "x/" * 3000])
def test_what_can_be_no_path_is_one_short_sentence(name: str) -> None:
    with pytest.raises(UserError) as refusal:
        read_bytes(Path(name), "mend it")
    assert str(refusal.value).endswith(": mend it") and len(str(refusal.value)) < 400


def test_text_of_editors_that_write_a_mark_is_read(tmp_path: Path) -> None:
    (tmp_path / "it").write_bytes(b"\xef\xbb\xbfa: 1\n")
    assert read_text(tmp_path / "it", "") == "a: 1\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "Expecting value, line 1 column 1"),
        ('{\n<<<<<<< HEAD\n "a": 1\n', "line 2 column 1"),
        ("\0\0", "Expecting value"),
        ("[" * 100_000, "values nested too deep"),
        ("[" * 60 + "]" * 60, "values nested too deep"),
        ("NaN", "NaN is no number"),
        ("-Infinity", "-Infinity is no number"),
        ("1e999", "1e999 is beyond the range of numbers"),
        ("9" * 5000, "a whole number of 5000 characters"),
        ('{"a": 1, "a": 2}', "the key 'a' occurs twice in one object"),
        ('"\\ud83d"', "half of a surrogate pair"),
    ],
    ids=lambda text: text[:12],
)
def test_what_is_no_json_of_ours_is_one_sentence(text: str, words: str) -> None:
    with pytest.raises(UserError, match=r"^it is not valid JSON \(.*\): mend it$") as refusal:
        parsed_json(text, "it", "mend it")
    assert words in str(refusal.value)


def test_a_document_of_too_many_values_is_refused_unread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MOST_VALUES", 1000)
    assert parsed_json(json.dumps([0] * 900), "it", "") == [0] * 900
    with pytest.raises(UserError, match="more than 1,000 values"):
        parsed_json(json.dumps([[]] * 900), "it", "mend it")


def test_json_of_another_encoding_ends_in_the_caller_s_remedy(tmp_path: Path) -> None:
    special("latin-1", tmp_path / "it")
    with pytest.raises(UserError, match=r"not UTF-8 text \(byte 0xef\): run `dvc repro`"):
        read_json(tmp_path / "it", "run `dvc repro`")


def test_limits_are_put_in_words() -> None:
    assert [size_words(size) for size in (5, 256 << 10, 64 << 20)] == ["5 bytes", "256 kB", "64 MB"]
