"""Reading dvc.yaml and dvc.lock without DVC, and hashing as DVC does."""

import hashlib
import json
import os
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from reprotune.errors import UserError
from reprotune.pipeline.dvc_yaml import check_followed, dep_path, read_pipeline, stage_names
from reprotune.pipeline.hashes import Hashes

ROOT = Path(__file__).resolve().parents[2]

LOOPED = """
stages:
  write:
    foreach:
      one: {source: a.txt}
      two: {source: b.txt}
    do:
      cmd: make ${key}
      deps:
        - ${item.source}
      params:
        - section.${key}
        - other.yaml: [x]
      metrics:
        - out/${key}.json: {cache: false}
  read:
    foreach: [p, q]
    do: {cmd: "read ${item}"}
"""


def write(folder: Path, text: str) -> Path:
    (folder / "dvc.yaml").write_text(text, encoding="utf-8")
    return folder


def test_loops_are_written_out(tmp_path: Path) -> None:
    stages = {stage.name: stage for stage in read_pipeline(write(tmp_path, LOOPED))}
    assert stage_names(tmp_path) == list(stages) == ["write@one", "write@two", "read@p", "read@q"]
    two = stages["write@two"]
    assert (two.cmd, two.deps, two.outs) == ("make two", ["b.txt"], ["out/two.json"])
    assert two.params == {"params.yaml": ["section.two"], "other.yaml": ["x"]}
    assert stages["read@q"].cmd == "read q" and two.locked is None


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("stages: {a: {cmd: x, wdir: sub}}", "stage a: .* do not support 'wdir'"),
        ("stages: {a: {matrix: {m: [1]}, cmd: x}}", "stage a: .* do not support 'matrix'"),
        ("stages: {a: {cmd: 'run ${model}'}}", r"stage a: .* do not support this use of \$"),
        ("vars: [x.yaml]\nstages: {}", "dvc.yaml: .* do not support 'vars'"),
        ("stages: {a: {foreach: '${list}', do: {cmd: x}}}", "neither a list nor a mapping"),
        ("stages: {a: {foreach: [1], do: {cmd: '${item.name}'}}}", "has no value"),
        ("stages: [a]", "should be a mapping"),
        ("stages: {a: {cmd: x, deps: [b, -0.0]}}", "stage a: -0.0 among the deps is none: restore it from Git"),
        ("stages: {a: {cmd: x, deps: [[b]]}}", r"stage a: \['b'\] among the deps is none"),
        ("stages: {a: {cmd: x, outs: [null]}}", "stage a: None among the outs is none"),
        ("stages: {a: {cmd: x, outs: [{}]}}", "stage a: {} among the outs is none"),
        ("stages: {a: {cmd: x, outs: [{b: 1}]}}", "stage a: {'b': 1} among the outs is none"),
        ("stages: {a: {cmd: x, params: [{b: c}]}}", "stage a: {'b': 'c'} among the params is none"),
        ("stages: {a: {cmd: x, deps: b}}", "stage a: deps should be a list"),
        ("stages: {l: {foreach: [1], do: {cmd: x, deps: {b: c}}}}", "stage l: deps should be a list"),
        ("stages: {a: {cmd: x, null: 1, z: 2}}", "stage a: .* do not support None"),
        ("[]", "should be a mapping"),
    ],
)
def test_what_it_cannot_read_is_named(text: str, fault: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=fault):
        read_pipeline(write(tmp_path, text))


def test_the_projects_own_pipeline_is_read_and_hashed_as_dvc_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    locked = YAML(typ="safe", pure=True).load((ROOT / "dvc.lock").read_text(encoding="utf-8"))["stages"]
    assert {stage.name for stage in read_pipeline(ROOT)} == set(locked)
    source = next(dep for dep in locked["fetch@base"]["deps"] if dep["path"] == "data/embedded/base")
    for _ in range(2):  # computed, then remembered
        hashes = Hashes(ROOT)
        assert hashes.of("data/embedded/base") == source["md5"]
        hashes.save()
    assert len((tmp_path / ".reprotune/hashes.json").read_text(encoding="utf-8")) > 50


def test_a_large_file_that_changes_is_hashed_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    path = tmp_path / "large.bin"
    seen = []
    for content in (b"a", b"b"):
        path.write_bytes(content * (2 << 20))
        os.utime(path, ns=(1, ord(content)))
        hashes = Hashes(tmp_path)
        seen.append(hashes.of("large.bin"))
        hashes.save()
    assert seen[0] != seen[1]


def test_what_is_not_there_has_no_hash_and_ignored_files_no_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    (tmp_path / ".dvcignore").write_text("*.pyc\n", encoding="utf-8")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/kept.txt").write_text("x", encoding="utf-8")
    alone = Hashes(tmp_path).of("folder")
    (tmp_path / "folder/ignored.pyc").write_text("y", encoding="utf-8")
    assert Hashes(tmp_path).of("folder") == alone
    assert Hashes(tmp_path).of("missing") is None


def test_paths_are_compared_as_dvc_writes_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    paths = ["./a/../b", tmp_path / "b", "/elsewhere/b", "../b"]
    assert [dep_path(path) for path in paths] == ["b", "b", "/elsewhere/b", "../b"]


def test_an_input_that_dvc_does_not_follow_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dvc.yaml").write_text("stages:\n  format:\n    cmd: x\n    deps:\n      - own.jinja\n")
    check_followed("format.template", Path("other.jinja"))  # the stage is not run by DVC
    monkeypatch.setenv("DVC_STAGE", "format")
    check_followed("format.template", None)
    check_followed("format.template", tmp_path / "own.jinja")
    with pytest.raises(UserError, match=r"format\.template is other\.jinja, .* run `reprotune deps --fix`"):
        check_followed("format.template", Path("other.jinja"))


def test_folders_outside_the_repository_have_hashes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "repository/models").mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    (tmp_path / "repository/.dvcignore").write_text("*.log\n")
    for folder in ("repository/models", "outside"):
        (tmp_path / folder / "weights").write_text("w")
        (tmp_path / folder / "run.log").write_text("w")
    hashes = Hashes(tmp_path / "repository")
    inside, outside = hashes.of("models"), hashes.of(str(tmp_path / "outside"))
    assert None not in (inside, outside)
    assert inside != outside, ".dvcignore is for the repository"
    assert hashes.of("../outside") == outside


@pytest.mark.parametrize("cache", [".dvc/cache", "elsewhere"])
def test_a_folder_with_some_of_its_files_is_not_changed(
    cache: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "out").mkdir()
    for name in ("a", "b"):
        (tmp_path / "out" / name).write_text(name)
    whole = Hashes(Path()).of("out")
    assert whole is not None
    assert not Hashes(Path()).are_part("out", whole), "its listing is unknown"
    md5 = {name: hashlib.md5(name.encode(), usedforsecurity=False).hexdigest() for name in ("a", "b")}
    listing = tmp_path / cache / "files/md5" / whole[:2] / whole[2:]
    listing.parent.mkdir(parents=True)
    listing.write_text(json.dumps([{"md5": md5[name], "relpath": name} for name in md5]))
    (tmp_path / ".dvc").mkdir(exist_ok=True)
    (tmp_path / ".dvc/config.local").write_text(f"[cache]\n    dir = {tmp_path / cache}\n")
    assert not Hashes(Path()).are_part("out", whole), "it is complete"
    (tmp_path / "out/b").unlink()
    assert Hashes(Path()).are_part("out", whole)
    (tmp_path / "out/a").write_text("edited")
    assert not Hashes(Path()).are_part("out", whole)
