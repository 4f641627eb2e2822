"""What keeps DVC's record of a stage true, piece by piece; `tests/end_to_end/test_orphans.py` has the whole."""

import os
import resource
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from reprotune.errors import UserError
from reprotune.pipeline import supervision
from reprotune.pipeline.supervision import Inputs, only_process

DEFINITION = {"deps": ["code.py", "folder", "large.bin", "missing.txt"], "params": ["judge", "fetch.base", "later"]}
PARAMS = "judge:\n  seed: 1\nfetch:\n  base:\n    source: a\n  dataset:\n    source: b\n"


@pytest.fixture
def inputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Inputs:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(supervision, "HASHED_BYTES", 100)
    Path("params.yaml").write_text(PARAMS)
    Path("code.py").write_text("x = 1\n")
    Path("large.bin").write_bytes(bytes(200))
    Path("folder/inner").mkdir(parents=True)
    Path("folder/inner/rows").write_text("rows")
    return Inputs(DEFINITION)


def touch(path: Path) -> None:
    os.utime(path, ns=(1, 1))


def rewrite(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"1", b"2").replace(b"\0", b"\1"))
    touch(path)


CHANGES: dict[str, tuple[Callable[[], object], list[str]]] = {
    "nothing": (lambda: None, []),
    "another section": (lambda: Path("params.yaml").write_text(PARAMS.replace("source: b", "source: c")), []),
    "a comment": (lambda: Path("params.yaml").write_text("# why\n" + PARAMS), []),
    "a param": (lambda: Path("params.yaml").write_text(PARAMS.replace("1", "2")), ["judge in params.yaml"]),
    "a nested param": (
        lambda: Path("params.yaml").write_text(PARAMS.replace("source: a", "source: c")),
        ["fetch.base in params.yaml"],
    ),
    "params half-written": (
        lambda: Path("params.yaml").write_text("judge: {"),
        ["judge in params.yaml", "fetch.base in params.yaml"],
    ),
    "code edited": (lambda: rewrite(Path("code.py")), ["code.py"]),
    "code saved as it was": (lambda: touch(Path("code.py")), []),
    "code deleted": (lambda: Path("code.py").unlink(), ["code.py"]),
    "a large file": (lambda: rewrite(Path("large.bin")), ["large.bin"]),
    "a file in a folder": (lambda: Path("folder/inner/rows").write_text("rest"), ["folder/inner/rows"]),
    "a new file in a folder": (lambda: Path("folder/new").write_text("x"), ["folder/new"]),
    "a file gone from a folder": (lambda: Path("folder/inner/rows").unlink(), ["folder/inner/rows"]),
    "a file that was missing": (lambda: Path("missing.txt").write_text(""), ["missing.txt"]),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_dvc_would_record_wrongly_is_noticed(inputs: Inputs, change: str) -> None:
    make, expected = CHANGES[change]
    make()
    assert inputs.changed() == expected
    if expected:
        with pytest.raises(UserError, match="changed while finetune ran, so its results are not recorded"):
            inputs.check("finetune")
    else:
        inputs.check("finetune")


def test_a_stage_that_dvc_does_not_run_has_no_record(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DVC_STAGE", raising=False)
    assert Inputs.of_running_stage() is None


def test_a_stage_has_one_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(supervision, "LOCK_SECONDS", 0.1)
    with only_process("finetune"):
        with pytest.raises(UserError, match=rf"another process \(id {os.getpid()}\) is running finetune here"):
            only_process("finetune").__enter__()
        with only_process("judge"):
            pass
    with only_process("finetune"):
        pass


def test_a_full_disk_does_not_keep_a_stage_from_running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may find room, or write elsewhere; the process id in the lock only helps whoever waits."""
    monkeypatch.chdir(tmp_path)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
        with only_process("finetune"):
            pass
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_second_process_waits_for_an_orphan_that_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    first = only_process("finetune")
    first.__enter__()
    threading.Timer(0.3, first.__exit__, (None, None, None)).start()
    with only_process("finetune"):
        pass
