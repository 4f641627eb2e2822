"""Random kills of `dvc repro`, and what is left in the end: to the byte what an undisturbed run leaves."""

import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Set
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import psutil
from ruamel.yaml import YAML

from .forker import seconds_in_line
from .project import MEASURED, RUN_SECONDS, Clone, Project, is_measured
from .verdicts import Result, different, hashes, tail

SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
TARGETS = ("group", "group", "dvc", "stage")
KILLS_PER_RUN = 8
ORPHAN_SECONDS = 20.0
"""Longest time for a stage to notice that its DVC is gone."""

CHANGES: tuple[dict[str, Any], ...] = (
    {"fetch.dataset.max_chars": 19_999, "finetune.seed": 7},
    {"split.order": "shuffled", "split.seed": 3},
    {"tokenize.max_length": 60, "generate.max_new_tokens": 6},
    {"format.template": "phi3", "judge.canaries": 6},
    {"finetune.epochs": 4, "generate.temperature": 0.7},
    {"fetch.benchmark.task": "quiz", "benchmark.formulations": ["letters", "cloze"], "preference.min_seconds": 2.0},
    {"finetune.method": "lora", "export.quantisations": ["q8_0"], "judge.against": "reference"},
)
"""What makes stages run: each run between kills is that of one of these on top of the finished project."""

KEPT = ("data", "metrics")
TRACE = re.compile(r"^Traceback \(most recent call last\)", re.MULTILINE)
CURES = {
    "JSON structure is corrupted": ("rm", "-f", ".dvc/tmp/rwlock"),
    "'./dvc.lock' validation failed": ("git", "checkout", "HEAD", "--", "dvc.lock"),
}
"""What DVC says of files that a kill has left empty, for it writes them in place -> the manual's cure."""


class Strike(NamedTuple):
    """One kill: when, how, and whom."""

    stage: str | None
    """Counted from the start of this stage, or of DVC."""
    saving: bool
    """Counted from the end of the stage, while DVC saves its outs."""
    delay: float
    signal: signal.Signals
    target: str

    def __str__(self) -> str:
        moment = "saving of" if self.saving else "start of"
        return f"{self.signal.name} to {self.target}, {self.delay:.2f} s after the {moment} {self.stage or 'dvc'}"


def strikes(draw: Random, count: int, stages: list[str]) -> list[Strike]:
    """Draw kills, half of them at a stage and a third of these while it is saved."""
    drawn = []
    for _ in range(count):
        stage = draw.choice(stages) if draw.random() < 0.7 else None
        saving = stage is not None and draw.random() < 0.35
        delay = draw.uniform(0, 0.6 if saving else 3.0 if stage else 8.0)
        target = draw.choice(TARGETS)
        drawn.append(Strike(stage, saving, delay, draw.choice(SIGNALS), "dvc" if saving else target))
    return drawn


def torment(
    project: Project, kills: int, seed: int, work: Path, only: int | None = None, done: Set[str] = frozenset()
) -> Iterator[Result]:
    """Yield a result for every kill and every round of kills; `only` repeats one round.

    Of `done`, rounds are left out whose end is there, and of others the kills that are there run again in silence.
    """
    rounds = range(-(-kills // KILLS_PER_RUN)) if only is None else [only]
    rounds = [number for number in rounds if f"a/end/{number}" not in done]
    undisturbed: dict[int, dict[str, str]] = {}
    for number in rounds:
        change = number % len(CHANGES)
        if change not in undisturbed:
            undisturbed[change] = wanted(project, CHANGES[change], work / f"undisturbed-{change}")
        count = min(KILLS_PER_RUN, kills - number * KILLS_PER_RUN) if only is None else KILLS_PER_RUN
        for result in one_round(project, number, count, seed, undisturbed[change], work):
            if result.case not in done:
                yield result


def wanted(project: Project, change: dict[str, Any], folder: Path) -> dict[str, str]:
    """Return the hashes that the change leads to without kills."""
    shutil.rmtree(folder, ignore_errors=True)
    clone = project.copy(folder)
    clone.set_params(change)
    clone.repro()
    found = outcome(clone)
    shutil.rmtree(folder)
    return found


def one_round(
    project: Project, number: int, kills: int, seed: int, undisturbed: dict[str, str], work: Path
) -> Iterator[Result]:
    """Kill `kills` runs one after the other, then let one finish; yields a result for each kill and for the end."""
    draw = Random(f"{seed}/kills/{number}")
    folder = work / f"kills-{number}"
    shutil.rmtree(folder, ignore_errors=True)
    clone = project.copy(folder)
    clone.set_params(CHANGES[number % len(CHANGES)])
    stages = out_of_date(clone)
    bad = False
    for index, strike in enumerate(strikes(draw, kills, stages)):
        started = time.monotonic()
        verdict, why = struck(clone, strike)
        bad |= verdict not in ("fine", "cure")
        yield Result(f"a/kill/{number}.{index}", verdict, str(strike), why, time.monotonic() - started)
    started = time.monotonic()
    verdict, why = finished(clone, undisturbed)
    bad |= verdict not in ("fine", "cure")
    what = f"the end of round {number} ({CHANGES[number % len(CHANGES)]}) [{folder}]"
    yield Result(f"a/end/{number}", verdict, what, why, time.monotonic() - started)
    if not bad:
        shutil.rmtree(folder)


def struck(clone: Clone, strike: Strike) -> tuple[str, str]:
    """Run `dvc repro`, kill it as told, wait for all of its processes; returns a verdict on what it said."""
    log = clone.root.parent / f"{clone.root.name}.log"
    with log.open("w", encoding="utf-8") as file:
        dvc = start(clone, file)
        process = psutil.Process(dvc.pid)
        family = {process.pid: process}
        if wait_for_moment(dvc, family, strike):
            send(dvc, family, strike)
        last = family | children(dvc.pid)
        ended = settled(dvc, list(last.values()))
    said = log.read_text(encoding="utf-8", errors="replace")
    if not ended:
        for one in last.values():
            if one.is_running():
                one.kill()
        dvc.wait()
        return "hang", f"processes outlast the kill by {ORPHAN_SECONDS:.0f} s: {tail(said)}"
    if "bug in Reprotune" in said:
        return "fault", tail(said)
    if (trace := TRACE.search(said)) and "/dvc/" not in said[trace.start() :].split("\n\n")[0]:
        return "traceback", tail(said[trace.start() :])
    if cured := cure(clone, said):
        return "cure", f"after the kill before: {cured}"
    return "fine", ""


def cure(clone: Clone, said: str) -> str | None:
    """Do what the manual says about DVC's complaint, if it is one of those; return the complaint."""
    for complaint, command in CURES.items():
        if complaint in said:
            clone.run(*command)
            return complaint
    return None


def start(clone: Clone, output: Any, *words: str) -> "subprocess.Popen[bytes]":
    command = ["dvc", "repro", *words]
    return subprocess.Popen(
        command, cwd=clone.root, env=clone.environment, stdout=output, stderr=output, start_new_session=True
    )


def children(pid: int) -> dict[int, psutil.Process]:
    try:
        return {one.pid: one for one in psutil.Process(pid).children(recursive=True)}
    except psutil.NoSuchProcess:
        return {}


def stage_process(family: dict[int, psutil.Process], stage: str | None = None) -> psutil.Process | None:
    """Return the process of a stage (of any, by default), which runs now."""
    for one in family.values():
        try:
            words = one.cmdline()
            running = one.is_running() and one.status() != psutil.STATUS_ZOMBIE
        except psutil.Error:
            continue
        module = next((word for word in words if word.startswith("stages.")), None)
        if module and running and Path(words[0]).name.startswith("python"):
            name = module.removeprefix("stages.") + "".join(f"@{word}" for word in words[words.index(module) + 1 :])
            if stage in (None, name):
                return one
    return None


def wait_for_moment(dvc: "subprocess.Popen[bytes]", family: dict[int, psutil.Process], strike: Strike) -> bool:
    """Wait until the kill is due; false if DVC ended before."""
    ends = time.monotonic() + RUN_SECONDS
    seen = False
    while strike.stage is not None and dvc.poll() is None and time.monotonic() < ends:
        family |= children(dvc.pid)
        runs = stage_process(children(dvc.pid), strike.stage) is not None
        seen |= runs
        if seen and runs != strike.saving:
            break
        time.sleep(0.005)
    due = time.monotonic() + strike.delay
    while time.monotonic() < due and dvc.poll() is None:
        family |= children(dvc.pid)
        time.sleep(0.01)
    return dvc.poll() is None


def send(dvc: "subprocess.Popen[bytes]", family: dict[int, psutil.Process], strike: Strike) -> None:
    try:
        if strike.target == "group":
            os.killpg(dvc.pid, strike.signal)
        elif strike.target == "dvc":
            dvc.send_signal(strike.signal)
        elif (stage := stage_process(children(dvc.pid))) is not None:
            stage.send_signal(strike.signal)
    except (ProcessLookupError, psutil.NoSuchProcess):
        return


def settled(dvc: "subprocess.Popen[bytes]", family: list[psutil.Process]) -> bool:
    """Wait for the end of DVC and of all that it started; false if they outlast their time.

    A stage that survives a signal may go on with its DVC; only once that has ended does the clock run, and it stands
    still while others have the processor that these could use.
    """
    try:
        dvc.wait(RUN_SECONDS)
    except subprocess.TimeoutExpired:
        return False
    before = {one.pid: seconds_in_line(one.pid) for one in family}
    began = time.monotonic()
    while left := [one for one in family if is_alive(one)]:
        waited = max(seconds_in_line(one.pid) - before[one.pid] for one in left)
        if time.monotonic() - began - waited > ORPHAN_SECONDS:
            return False
        time.sleep(0.05)
    return True


def is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def finished(clone: Clone, undisturbed: dict[str, str]) -> tuple[str, str]:
    """Let `dvc repro` run to its end; returns whether what it leaves is right."""
    verdict, why = "fine", ""
    for _ in range(1 + len(CURES)):
        done = clone.run("dvc", "repro", check=False)
        cured = cure(clone, done.stdout + done.stderr) if done.returncode else None
        if cured is None:
            break
        verdict, why = "cure", cured
    if done.returncode:
        return "wrong", f"dvc repro does not recover, exit code {done.returncode}: {tail(done.stdout + done.stderr)}"
    if files := different(outcome(clone), undisturbed):
        return "wrong", f"differ: {', '.join(files[:8])}"
    if status := clone.run("dvc", "status", "--quiet", check=False).returncode:
        return "wrong", f"dvc status exits with {status} after dvc repro"
    left = [str(path) for path in clone.root.rglob(".*.tmp") if ".dvc" not in path.parts]
    left += [line for line in clone.run("git", "status", "--short").stdout.splitlines() if line.startswith("??")]
    if left:
        return "wrong", f"left behind: {left}"
    return verdict, why


def outcome(clone: Clone) -> dict[str, str]:
    """Return the hashes of all results, and dvc.lock's entries, without what shows how fast it went."""
    found = {name: digest for name, digest in hashes(clone.root, KEPT).items() if not name.startswith(MEASURED)}
    lock = YAML(typ="safe", pure=True).load((clone.root / "dvc.lock").read_text(encoding="utf-8"))
    for stage, entry in lock["stages"].items():
        for kind in ("deps", "outs"):
            for item in entry[kind]:
                if not is_measured(item["path"]):
                    found[f"dvc.lock: {kind} of {stage}: {item['path']}"] = str(item.get("md5"))
        found[f"dvc.lock: params of {stage}"] = repr(entry.get("params"))
    return found


def out_of_date(clone: Clone) -> list[str]:
    """Return the stages that `dvc repro` would run, as `reprotune plan` tells."""
    planned = json.loads(clone.run("reprotune", "plan", "--json", check=False).stdout)
    return [stage["name"] for stage in planned["stages"] if stage["state"] != "up to date"]
