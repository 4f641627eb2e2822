"""DVC is killed, or its inputs are edited, while a stage runs: nothing wrong is ever recorded."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from typing import Any

import psutil
import pytest

pytestmark = [pytest.mark.pipeline, pytest.mark.slow]

LONGER = {"finetune.epochs": 60, "finetune.batch_size": 8}


def start(clone: Any, *words: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        ["dvc", "repro", *words],
        cwd=clone.root,
        env=clone.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def stage_of(dvc: "subprocess.Popen[str]", clone: Any) -> psutil.Process:
    """Wait until the stage `finetune` has begun to train; return its process."""
    wait_for(lambda: list((clone.root / ".reprotune").glob("finetune/*/lock")), lambda: dvc.poll() is None)
    (process,) = (one for one in psutil.Process(dvc.pid).children(recursive=True) if "stages.finetune" in one.cmdline())
    return process


def wait_for(condition: Callable[[], Any], alive: Callable[[], bool] = lambda: True, seconds: float = 120) -> None:
    ends = time.monotonic() + seconds
    while not condition():
        assert alive() and time.monotonic() < ends
        time.sleep(0.01)


def test_a_stage_ends_with_its_dvc(clone: Any) -> None:
    clone.set_params(LONGER)
    dvc = start(clone, "finetune")
    stage = stage_of(dvc, clone)
    dvc.kill()
    dvc.communicate()
    wait_for(lambda: not stage.is_running() or stage.status() == psutil.STATUS_ZOMBIE, seconds=15)
    assert not (clone.root / "data/model").exists()


def test_no_other_run_is_recorded_under_new_params(clone: Any, finished: Any) -> None:
    """The orphan's 60 epochs must not become the result of the default ones."""
    clone.set_params(LONGER)
    dvc = start(clone, "finetune")
    stage_of(dvc, clone)
    os.kill(dvc.pid, signal.SIGKILL)
    dvc.communicate()
    clone.run("git", "checkout", "params.yaml")
    clone.run("dvc", "repro", "finetune")
    assert clone.hashes("data/model") == finished.hashes("data/model")
    assert clone.read_json("data/model/metrics.json")["epochs"] < 60


def test_params_edited_meanwhile_are_not_recorded_with_the_results(clone: Any) -> None:
    clone.set_params({**LONGER, "finetune.epochs": 3})
    dvc = start(clone, "finetune")
    stage_of(dvc, clone)
    clone.set_params({"finetune.epochs": 2})
    said, _ = dvc.communicate(timeout=300)
    assert dvc.returncode != 0
    assert "finetune in params.yaml changed while finetune ran, so its results are not recorded" in said
    # undone, the finished work counts
    clone.set_params({"finetune.epochs": 3})
    again = clone.run("dvc", "repro", "finetune")
    assert "training had ended" in again.stdout + again.stderr
    assert clone.read_json("data/model/metrics.json")["epochs"] == 3
