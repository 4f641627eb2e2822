"""Whether results belong to what is committed or checked out."""

import hashlib
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from reprotune.compare.revision import Revision
from reprotune.compare.stale import stale_reasons

PIPELINE = """stages:
  train:
    cmd: python -m stages.train
    params: [train]
    deps: [src/train.py, data/rows.jsonl, data/base]
    outs: [data/model]
  judge:
    cmd: python -m stages.judge
    deps: [src/judge.py, data/model]
    outs: [data/judgements]
  report:
    cmd: python -m stages.report
    params: [train]
    deps: [src/report.py, data/judgements]
    outs: [data/report]
"""
MODEL, JUDGEMENTS = "11" * 16, "22" * 16


def md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


def git(root: Path, *command: str) -> None:
    identity = ["-c", "user.name=Test", "-c", "user.email=test@localhost"]
    subprocess.run(["git", "-C", str(root), *identity, *command], check=True, capture_output=True)


def lock() -> str:
    """Return the dvc.lock of a run of everything that `repository` commits first."""
    listing = json.dumps([{"md5": md5("weights"), "relpath": "model.bin"}], sort_keys=True)

    def stage(name: str, deps: dict[str, str], out: str, out_md5: str, params: str = "") -> str:
        listed = "".join(f"    - path: {path}\n      md5: {digest}\n" for path, digest in deps.items())
        return (
            f"  {name}:\n    cmd: python -m stages.{name}\n    deps:\n{listed}{params}"
            f"    outs:\n    - path: {out}\n      md5: {out_md5}\n"
        )

    params = "    params:\n      params.yaml:\n        train:\n          epochs: 2\n"
    deps = {"src/train.py": md5("train"), "data/rows.jsonl": md5("rows"), "data/base": md5(listing) + ".dir"}
    return (
        "schema: '2.0'\nstages:\n"
        + stage("train", deps, "data/model", MODEL, params)
        + stage("judge", {"src/judge.py": md5("judge"), "data/model": MODEL}, "data/judgements", JUDGEMENTS)
        + stage("report", {"src/report.py": md5("report"), "data/judgements": JUDGEMENTS}, "data/report", MODEL, params)
    )


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A committed pipeline below the root of a Git repository, up to date, with its outs absent."""
    root = tmp_path / "below"
    monkeypatch.setenv("DVC_ROOT", str(tmp_path / "scratch"))
    write(root, {f"src/{name}.py": name for name in ("train", "judge", "report")})
    write(root, {"data/rows.jsonl": "rows", "data/base/model.bin": "weights", "dvc.yaml": PIPELINE})
    write(root, {"params.yaml": "train:\n  epochs: 2\n", "dvc.lock": lock()})
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", "--all")
    git(tmp_path, "commit", "--quiet", "--message", "made")
    return root


def edit(name: str, text: str) -> Callable[[Path], None]:
    return lambda root: write(root, {name: text})


def replaced(name: str, old: str, new: str) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        text = (root / name).read_text()
        assert old in text
        (root / name).write_text(text.replace(old, new))

    return change


CHANGES = {
    "params": (edit("params.yaml", "train:\n  epochs: 3\n"), "train.epochs: 2 -> 3"),
    "code": (edit("src/judge.py", "judges otherwise"), "src/judge.py: changed"),
    "data": (edit("data/rows.jsonl", "other rows"), "data/rows.jsonl: changed"),
    "folder": (edit("data/base/model.bin", "other weights"), "data/base: changed"),
    "new code": (replaced("dvc.yaml", "[src/judge.py,", "[src/judge.py, src/report.py,"), "src/report.py: new"),
    "command": (replaced("dvc.yaml", "stages.judge", "stages.judge --fast"), "judge: its command changed"),
    "lock": (replaced("dvc.lock", f"md5: {MODEL}\n  judge", f"md5: {JUDGEMENTS}\n  judge"), "data/model: changed"),
    "never run": (replaced("dvc.lock", "  judge:", "  judged:"), "judge: never run"),
}


@pytest.mark.parametrize("name", ["workspace", "HEAD"])
def test_what_was_made_from_what_is_there_is_not_stale(name: str, repository: Path) -> None:
    assert stale_reasons(Revision(name, repository)) == []


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_after_the_run_makes_results_stale(change: str, repository: Path) -> None:
    act, reason = CHANGES[change]
    act(repository)
    found = stale_reasons(Revision("workspace", repository))
    assert [text for text in found if text.startswith(reason)], found
    assert stale_reasons(Revision("HEAD", repository)) == []  # not committed yet
    git(repository, "commit", "--quiet", "--all", "--message", "changed")
    assert stale_reasons(Revision("HEAD", repository)) == found
    assert stale_reasons(Revision("HEAD~1", repository)) == []


def test_the_page_of_the_report_is_no_result(repository: Path) -> None:
    write(repository, {"src/report.py": "looks otherwise"})
    assert stale_reasons(Revision("workspace", repository)) == []


def test_data_that_is_merely_absent_is_not_stale(repository: Path) -> None:
    git(repository, "rm", "--quiet", "-r", "--cached", "data")
    git(repository, "commit", "--quiet", "--message", "data elsewhere")
    assert stale_reasons(Revision("HEAD", repository)) == []


def test_a_pipeline_that_cannot_be_read_is_not_trusted(repository: Path) -> None:
    write(repository, {"dvc.yaml": "vars: []\n"})
    git(repository, "commit", "--quiet", "--all", "--message", "broken")
    for name in ("workspace", "HEAD"):
        assert "cannot be told" in stale_reasons(Revision(name, repository))[0]


def test_hashes_of_artifacts_come_from_the_lock_or_the_listing(repository: Path) -> None:
    listing = json.dumps([{"md5": "cd" * 16, "relpath": "validation.parquet"}])
    md5_dir = f"{md5(listing)}.dir"
    document = YAML(typ="safe").load((repository / "dvc.lock").read_text())
    document["stages"]["train"]["outs"].append({"path": "data/tokens", "md5": md5_dir})
    with (repository / "dvc.lock").open("w") as file:
        YAML().dump(document, file)
    revision = Revision("workspace", repository)
    assert revision.locked_hash("data/model") == MODEL
    assert revision.locked_hash("data/tokens/validation.parquet") is None  # no listing in the cache
    write(repository, {f".dvc/cache/files/md5/{md5_dir[:2]}/{md5_dir[2:]}": listing})
    assert revision.locked_hash("data/tokens/validation.parquet") == "cd" * 16
    assert revision.locked_hash("data/nothing") is None
