"""Inputs edited while stages run, orphans, and two runs at once: what is recorded is the result of what is recorded."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Set
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import psutil

from .kills import children, finished, outcome, settled, stage_process, start
from .project import Clone, Project
from .verdicts import Result, tail

TEMPLATES = "src/reprotune/dataset/templates/instructions.py"


class Pair(NamedTuple):
    """Two states of the inputs, which differ in what one stage reads."""

    stage: str
    first: dict[str, Any]
    second: dict[str, Any]
    code: Callable[[Clone], None] | None = None
    """Makes the second state of the first where no param does."""


def other_words(clone: Clone) -> None:
    clone.edit(TEMPLATES, lambda text: text.replace("Below is an instruction", "Here is an instruction"))


PAIRS = (
    Pair("finetune", {"finetune.epochs": 4}, {"finetune.epochs": 5}),
    Pair("split", {"split.order": "shuffled", "split.seed": 3}, {"split.order": "shuffled", "split.seed": 4}),
    Pair("judge", {"judge.canaries": 6}, {"judge.canaries": 4}),
    Pair("format", {"format.response_header": "in_response"}, {"format.response_header": "in_response"}, other_words),
    Pair("benchmark@finetuned", {"benchmark.items_per_subject": 3}, {"benchmark.items_per_subject": 2}),
    Pair("preference", {"preference.min_seconds": 2.0}, {"preference.min_seconds": 3.0}),
    Pair("export", {"export.quantisations": ["f16", "q8_0"]}, {"export.quantisations": ["q8_0"]}),
    Pair("tokenize", {"tokenize.max_length": 60}, {"tokenize.max_length": 70}),
)
KINDS = ("edit", "edit", "edit and back", "orphan", "two at once")


def set_state(clone: Clone, pair: Pair, second: bool) -> None:
    clone.set_params(pair.second if second else pair.first)
    if pair.code:
        if second:
            pair.code(clone)
        else:
            clone.run("git", "checkout", "--", "src")


def disturb(
    project: Project, rounds: int, seed: int, work: Path, only: int | None = None, done: Set[str] = frozenset()
) -> Iterator[Result]:
    """Yield a result for every disturbed run that is not `done`; `only` repeats one."""
    known: dict[int, tuple[dict[str, str], dict[str, str]]] = {}
    numbers = range(rounds) if only is None else [only]
    for number in (number for number in numbers if f"b/edit/{number}" not in done):
        which = number % len(PAIRS)
        if which not in known:
            known[which] = (recorded(project, PAIRS[which], False, work), recorded(project, PAIRS[which], True, work))
        draw = Random(f"{seed}/edits/{number}")
        folder = work / f"edit-{number}"
        shutil.rmtree(folder, ignore_errors=True)
        clone = project.copy(folder)
        began = time.monotonic()
        what, verdict, why = one_round(clone, PAIRS[which], known[which], draw)
        yield Result(f"b/edit/{number}", verdict, f"{what} [{folder}]", why, time.monotonic() - began)
        if verdict in ("fine", "cure"):
            shutil.rmtree(folder)


def recorded(project: Project, pair: Pair, second: bool, work: Path) -> dict[str, str]:
    """Return what a state leads to when nothing disturbs it."""
    folder = work / "undisturbed"
    shutil.rmtree(folder, ignore_errors=True)
    clone = project.copy(folder)
    set_state(clone, pair, second)
    clone.repro()
    found = outcome(clone)
    shutil.rmtree(folder)
    return found


def one_round(
    clone: Clone, pair: Pair, known: tuple[dict[str, str], dict[str, str]], draw: Random
) -> tuple[str, str, str]:
    """Disturb one run; returns what was done, the verdict and its reason."""
    kind = draw.choice(KINDS)
    delay = draw.uniform(0, 2.0)
    before = outcome(clone)
    set_state(clone, pair, second=False)
    log = clone.root.with_suffix(".log")
    what = f"{kind}, {delay:.2f} s after the start of {pair.stage}"
    with log.open("w", encoding="utf-8") as file:
        dvc = start(clone, file)
        family = wait_for_stage(dvc, pair.stage)
        time.sleep(delay)
        if kind == "orphan":
            os.kill(dvc.pid, signal.SIGKILL)
        if kind == "two at once":
            second = start(clone, subprocess.DEVNULL)
            settled(second, list(children(second.pid).values()))
        else:
            set_state(clone, pair, second=True)
            if kind == "edit and back":
                time.sleep(draw.uniform(0, 0.5))
                set_state(clone, pair, second=False)
        if kind != "orphan" and not settled(dvc, family):
            return what, "hang", tail(log.read_text(encoding="utf-8", errors="replace"))
        dvc.wait()
    said = log.read_text(encoding="utf-8", errors="replace")
    if "bug in Reprotune" in said or "Traceback" in said:
        return what, "traceback", tail(said)
    # an orphan is still there now, and the next run has to cope with it
    if kind != "orphan" and (fault := unfounded(outcome(clone), (before, *known))):
        return what, "wrong", fault
    end = known[0] if kind in ("edit and back", "two at once") else known[1]
    return what, *finished(clone, end)


def wait_for_stage(dvc: "subprocess.Popen[bytes]", stage: str) -> list[psutil.Process]:
    """Wait until the stage runs (or DVC has ended); return all processes of the run."""
    while dvc.poll() is None:
        family = children(dvc.pid)
        if stage_process(family, stage):
            return list(family.values())
        time.sleep(0.01)
    return []


def unfounded(now: dict[str, str], states: tuple[dict[str, str], ...]) -> str | None:
    """Return the stage whose record in dvc.lock is not that of any state: params and deps of one, outs of another."""
    prefix = "dvc.lock: params of "
    for stage in (name.removeprefix(prefix) for name in now if name.startswith(prefix)):
        entries = [{name: value for name, value in state.items() if is_entry(name, stage)} for state in (now, *states)]
        inputs = [{name: value for name, value in entry.items() if "outs of" not in name} for entry in entries]
        same = [entry for entry, own in zip(entries[1:], inputs[1:], strict=True) if own == inputs[0]]
        if same and entries[0] not in same:
            return f"dvc.lock binds the params and deps of {stage} to other outs than they lead to"
    return None


def is_entry(name: str, stage: str) -> bool:
    return name.startswith("dvc.lock: ") and name.split(" of ")[1].partition(": ")[0] == stage
