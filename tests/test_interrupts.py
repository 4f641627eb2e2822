"""Ctrl-C is heard where Python swallows exceptions."""

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reprotune.console import run_stage
from reprotune.interrupts import AGAIN_SECONDS, interruptible


@pytest.fixture(autouse=True)
def default_handler() -> Iterator[None]:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


class StruckInTheDestructor:
    """Gets Ctrl-C where Python swallows exceptions."""

    def __del__(self) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.01)


class FailsInTheDestructor:
    """Raises what has nothing to do with Ctrl-C."""

    def __del__(self) -> None:
        raise ValueError("of its own")


def test_ctrl_c_within_a_destructor_ends_a_stage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def main() -> None:
        StruckInTheDestructor()
        for _ in range(1000):
            time.sleep(0.01)
        raise AssertionError("Ctrl-C was not heard")

    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as caught:
        run_stage("judge", main)
    assert caught.value.code == 130
    errors = capsys.readouterr().err
    assert errors.startswith("judge: interrupted")
    assert "Traceback" not in errors


def test_other_errors_are_reported_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    reported: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda unraisable: reported.append(unraisable.exc_type))
    with interruptible():
        FailsInTheDestructor()
    assert reported == [ValueError]


def test_nothing_is_sent_once_the_work_is_done() -> None:
    before = sys.unraisablehook
    with interruptible():
        StruckInTheDestructor()
    assert sys.unraisablehook is before
    time.sleep(3 * AGAIN_SECONDS)  # a second Ctrl-C would end the test
