"""Cases of a machine that gives out: full disks, files that may not be written, too little memory, too few files."""

import os
import subprocess
from pathlib import Path
from random import Random
from typing import Any

from .cases import Plan, Step, subject
from .commands import NOBODY
from .project import INPUTS, LARGEST_OUT, OUTS, STAGES, Project

MEGABYTE = 1 << 20


def any_stage(draw: Random) -> str:
    return draw.choice(sorted(STAGES))


def afterwards(stage: str) -> list[Step]:
    """Return the step that shows that nothing of the fault is left."""
    return [Step(STAGES[stage])]


@subject("c", "file-size", "data", share=3)
def file_size(draw: Random, folder: Path, project: Project) -> Plan:
    """No file may grow beyond a limit: what a full disk does, at any byte."""
    stage = any_stage(draw)
    limit = draw.choice([0, 1, 100, 1000, 4096, 20_000, draw.randrange(LARGEST_OUT[stage] + 1)])
    first = Step(STAGES[stage], {"limits": {"RLIMIT_FSIZE": limit}})
    return Plan(
        f"{stage}: files up to {limit} bytes",
        [first, *afterwards(stage)],
        same=OUTS[stage],
        last_must_be_fine=True,
        goes_on=True,
    )


@subject("c", "full-disk", "data", share=2)
def full_disk(draw: Random, folder: Path, project: Project) -> Plan:
    """The folder of a stage's outs, or of its progress, is a small disk of its own."""
    stage = any_stage(draw)
    # A stage replaces the folder of its outs by a rename; so the disk is the folder around it.
    place = folder / draw.choice([str(Path(OUTS[stage][0]).parent), ".reprotune"])
    place.mkdir(exist_ok=True)
    size = draw.choice([16, 64, 256, 1024, 4096])
    disk = folder.with_name(f"{folder.name}-disk")
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}k,mode=755", "tmpfs", str(disk)], capture_output=True, check=False
    )
    if mounted.returncode:
        disk.rmdir()
        return Plan("no disk can be mounted here", [Step(["reprotune", "params"])])
    away = place.with_name(f"{place.name}.away")
    place.rename(away)
    place.symlink_to(disk)
    if place.name != ".reprotune":  # what the stage reads stays where there is room
        for path in away.iterdir():
            if str(Path(place.name) / path.name) not in OUTS[stage]:
                (disk / path.name).symlink_to(path)

    def put_back() -> str:
        place.unlink()
        away.rename(place)
        return "then with room"

    def unmounted() -> None:
        subprocess.run(["umount", "-l", str(disk)], check=False)
        disk.rmdir()

    steps = [Step(STAGES[stage]), Step(STAGES[stage], before=put_back)]
    what = f"{stage}: {place.relative_to(folder)} on a disk of {size} kB; "
    return Plan(what, steps, same=OUTS[stage], last_must_be_fine=True, goes_on=True, after=unmounted)


@subject("c", "read-only", "data", share=2)
def read_only(draw: Random, folder: Path, project: Project) -> Plan:
    """Outs, their folder, the scratch folder or inputs may not be written or read by the user who runs the stage."""
    stage = any_stage(draw)
    if os.getuid() == 0:
        give(folder)
    user: dict[str, Any] = {"user": NOBODY} if os.getuid() == 0 else {}
    out, entry = folder / OUTS[stage][0], folder / INPUTS[stage][0]
    kind = draw.choice(["out", "above", "input", "scratch", "project", "params"])
    path, mode = {
        "out": (out, 0o555),
        "above": (out.parent, 0o555),
        "input": (entry, 0o000),
        "scratch": (folder / ".reprotune", 0o555),
        "project": (folder, 0o555),
        "params": (folder / "params.yaml", 0o000),
    }[kind]
    if kind == "scratch":
        path.mkdir()
    if os.getuid() == 0:
        os.chown(path, 0, 0)
    before = path.stat().st_mode
    path.chmod(mode)

    def allow() -> str:
        path.chmod(before)
        if os.getuid() == 0:
            os.chown(path, NOBODY, NOBODY)
        return "; then with permission"

    steps = [Step(STAGES[stage], dict(user)), Step(STAGES[stage], dict(user), before=allow)]
    what = f"{stage}: {path.relative_to(folder)} has mode {mode:o}"
    return Plan(what, steps, same=OUTS[stage], last_must_be_fine=True, goes_on=True)


def give(folder: Path) -> None:
    """Make everything in a folder that of the user without rights."""
    for path in [folder, *folder.rglob("*")]:
        os.chown(path, NOBODY, NOBODY, follow_symlinks=False)


@subject("c", "memory", "data", share=3)
def memory(draw: Random, folder: Path, project: Project) -> Plan:
    """Address space for little more than the libraries."""
    stage = any_stage(draw)
    limit = draw.choice([0, 1, 4, 8, 16, 32, 48, 64, 96, 128, 192]) * MEGABYTE
    first = Step(STAGES[stage], {"limits": {"RLIMIT_AS": limit}})
    what = f"{stage}: {limit // MEGABYTE} MB more"
    return Plan(what, [first, *afterwards(stage)], same=OUTS[stage], last_must_be_fine=True, goes_on=True)


@subject("c", "open-files", "data", share=1)
def open_files(draw: Random, folder: Path, project: Project) -> Plan:
    """Few files may be open at a time."""
    stage = any_stage(draw)
    limit = draw.choice([3, 4, 5, 6, 8, 10, 12, 16])
    first = Step(STAGES[stage], {"limits": {"RLIMIT_NOFILE": limit}})
    what = f"{stage}: {limit} open files"
    return Plan(what, [first, *afterwards(stage)], same=OUTS[stage], last_must_be_fine=True, goes_on=True)
