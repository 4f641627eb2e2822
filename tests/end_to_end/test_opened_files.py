"""dvc.yaml is the whole truth: a stage opens nothing but its deps, and finds them all in a clone without data."""

import ctypes
import os
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from reprotune.pipeline.dvc_yaml import CODE, PipelineStage, read_pipeline
from reprotune.scratch import EXEMPT

pytestmark = [pytest.mark.pipeline, pytest.mark.slow]

ROOT = Path(__file__).resolve().parents[2]
STAGES = [stage.name for stage in read_pipeline(ROOT)]
SETTINGS = {"params.yaml", "dvc.yaml"}
"""Followed key by key, and only compared with the params."""
RECORDED = {"pyproject.toml", "constraints.txt"}
"""What the speed file says the model was made with."""
CHECKED = ("src/reprotune/params/document.py", "src/reprotune/params/sections/")
"""With these, every stage checks all params before it starts."""
UNWATCHED = {".git", ".dvc", ".reprotune", "__pycache__"}
IN_OPEN, IN_ISDIR, IN_NONBLOCK = 0x20, 0x40000000, 0o4000
EVENT = struct.Struct("iIII")

PARAMS = {
    "fetch@dataset": {"fetch.dataset.max_chars": 10_000},
    "split": {"split.near_duplicate_similarity": 0.8},
    "format": {"format.template": "phi3"},
    "tokenize": {"tokenize.max_length": 256},
    "finetune": {"finetune.learning_rate": 0.02},
    "generate@finetuned": {"generate.max_new_tokens": 6},
    "judge": {"judge.seed": 7},
    "preference": {"preference.seed": 7},
}
"""A stage -> a change after which it runs."""


class Watch:
    """The files below a folder that any process opens, by Linux's inotify: native libraries' opens are seen too."""

    def __init__(self, root: Path) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._root = root
        self._fd = self._libc.inotify_init1(IN_NONBLOCK)
        self._folders: dict[int, Path] = {}
        for place, folders, _ in os.walk(root):
            folders[:] = [name for name in folders if name not in UNWATCHED]
            self._folders[self._libc.inotify_add_watch(self._fd, place.encode(), IN_OPEN)] = Path(place)

    def opened(self) -> set[str]:
        """Return the files opened so far, relative to the root, and stop watching."""
        found = set()
        while True:
            try:
                events = os.read(self._fd, 1 << 16)
            except BlockingIOError:
                break
            while events:
                watch, mask, _, length = EVENT.unpack_from(events)
                name = events[EVENT.size : EVENT.size + length].rstrip(b"\0").decode()
                events = events[EVENT.size + length :]
                assert watch >= 0, "more events than the kernel keeps"
                if name and not mask & IN_ISDIR:
                    found.add((self._folders[watch] / name).relative_to(self._root).as_posix())
        os.close(self._fd)
        return found


@pytest.fixture(scope="module")
def watched(finished: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return finished.copy(tmp_path_factory.mktemp("watched") / "clone")


@pytest.mark.skipif(sys.platform != "linux", reason="needs inotify, which Linux has")
@pytest.mark.parametrize("name", STAGES)
def test_a_stage_opens_what_it_declares_and_nothing_else(watched: Any, tmp_path: Path, name: str) -> None:
    (stage,) = (stage for stage in read_pipeline(watched.root) if stage.name == name)
    environment = watched.environment | {"DVC_STAGE": name, "PYTHONPYCACHEPREFIX": str(tmp_path / "bytecode")}
    watched.run("git", "status")  # notes what is on disk: a training asks Git for its commit, and that opens no more
    watch = Watch(watched.root)
    subprocess.run(str(stage.cmd).split(), cwd=watched.root, env=environment, check=True, capture_output=True)
    opened = watch.opened()
    assert {"params.yaml", f"stages/{name.partition('@')[0]}.py"} <= opened
    assert sorted(path for path in opened if not is_declared(path, stage, watched.root)) == []
    data = [dep for dep in stage.deps if not dep.startswith(CODE)]
    assert [dep for dep in data if not any(is_in(path, dep) for path in opened)] == [], "deps that nothing reads"


def is_declared(path: str, stage: PipelineStage, root: Path) -> bool:
    if (
        path in SETTINGS | RECORDED
        or path.startswith(CHECKED)
        or any(is_in(path, place) for place in [*stage.deps, *stage.outs])
    ):
        return True
    if path.endswith("/__init__.py"):
        return not (root / path).read_text(encoding="utf-8")
    module = path.removeprefix("src/").removesuffix(".py").replace("/", ".")
    return module in EXEMPT or Path(path).name.endswith(".tmp")


def is_in(path: str, place: str) -> bool:
    return path == place or path.startswith(f"{place}/")


@pytest.fixture(scope="module")
def pushed(finished: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The finished repository with a remote that has everything."""
    folder = tmp_path_factory.mktemp("pushed")
    clone = finished.copy(folder / "clone")
    clone.run("dvc", "remote", "add", "--default", "storage", str(folder / "storage"))
    clone.commit("remote")
    clone.run("dvc", "push", "--quiet")
    return clone


@pytest.mark.parametrize("stage", PARAMS)
def test_a_change_in_a_clone_without_data_pulls_what_its_stages_need(pushed: Any, tmp_path: Path, stage: str) -> None:
    pushed.run("git", "clone", "--quiet", ".", str(tmp_path / "bare"))
    bare = type(pushed)(tmp_path / "bare", pushed.home)
    bare.set_params(PARAMS[stage])
    assert {stage, "report"} <= set(bare.repro("--pull", "--allow-missing"))


def test_earlier_pulls_of_single_files_do_not_stand_in_the_way(pushed: Any, tmp_path: Path) -> None:
    """From the last stage up: each needs more files of folders of which the clone already has some."""
    pushed.run("git", "clone", "--quiet", ".", str(tmp_path / "bare"))
    bare = type(pushed)(tmp_path / "bare", pushed.home)
    for index, stage in reversed([*enumerate(PARAMS)]):
        bare.set_params(PARAMS[stage])
        ran = set(bare.repro("--pull", "--allow-missing"))
        assert {stage, "report"} <= ran
        assert not ran & set([*PARAMS][:index]), "what lies upstream is up to date, though only in part here"
        bare.run("reprotune", "plan", "--check")
