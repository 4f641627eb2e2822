"""Cases of a machine that gives out: full disks, files that may not be written, too little memory, too few files."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from .cases import Plan, Step, subject
from .commands import NOBODY
from .project import INPUTS, OUTS, STAGES, Project

MEGABYTE = 1 << 20
MISLEADING = "damaged|a file below|embedded/"
"""No file is damaged, the file is known, and it is not the source of a copy that is full."""


def any_stage(draw: Random) -> str:
    return draw.choice(sorted(STAGES))


def faulty(
    stage: str,
    what: str,
    request: dict[str, Any],
    mended: Callable[[], str] | None = None,
    then: dict[str, Any] | None = None,
    after: Callable[[], None] | None = None,
    misleading: str = MISLEADING,
) -> Plan:
    """Return a run of the stage under the fault, and one without, which leaves what it always leaves."""
    first, second = Step(STAGES[stage], request), Step(STAGES[stage], then or {}, before=mended)
    return Plan(
        f"{stage}: {what}",
        [first, second],
        same=OUTS[stage],
        goes_on=True,
        last_must_be_fine=True,
        misleading=misleading,
        after=after,
    )


@subject("c", "file-size", "data", share=3)
def file_size(draw: Random, folder: Path, project: Project) -> Plan:
    """No file may grow beyond a limit: what a full disk does, at any byte."""
    stage = any_stage(draw)
    files = [file for out in OUTS[stage] for file in [project.root / out, *(project.root / out).rglob("*")]]
    largest = max(file.stat().st_size for file in files if file.is_file())
    limit = draw.choice([0, 1, 100, 1000, 4096, 20_000, draw.randrange(largest + 1)])
    return faulty(stage, f"files up to {limit} bytes", {"limits": {"RLIMIT_FSIZE": limit}})


@subject("c", "full-disk", "data", share=2)
def full_disk(draw: Random, folder: Path, project: Project) -> Plan:
    """The folder of a stage's outs, or of its progress, is a small disk of its own."""
    stage = any_stage(draw)
    # A stage replaces the folder of its outs by a rename; so the disk is the folder around it.
    place = folder / draw.choice([str(Path(OUTS[stage][0]).parent), ".reprotune"])
    place.mkdir(exist_ok=True)
    size = draw.choice([4, 8, 12, 16, 24, 64, 1024, 3200, 6400])
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

    what = f"{place.relative_to(folder)} on a disk of {size} kB; "
    return faulty(stage, what, {}, put_back, after=unmounted)


@subject("c", "read-only", "data", "metrics", share=2)
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

    what = f"{path.relative_to(folder)} has mode {mode:o}"
    return faulty(stage, what, dict(user), allow, dict(user))


def give(folder: Path) -> None:
    """Make everything in a folder that of the user without rights."""
    for path in [folder, *folder.rglob("*")]:
        os.chown(path, NOBODY, NOBODY, follow_symlinks=False)


@subject("c", "memory", "data", share=3)
def memory(draw: Random, folder: Path, project: Project) -> Plan:
    """Address space for little more than the libraries."""
    stage = any_stage(draw)
    limit = draw.choice([0, 1, 4, 8, 16, 32, 48, 64, 96, 128, 192]) * MEGABYTE
    return faulty(stage, f"{limit // MEGABYTE} MB more", {"limits": {"RLIMIT_AS": limit}})


@subject("c", "open-files", "data", share=1)
def open_files(draw: Random, folder: Path, project: Project) -> Plan:
    """Few files may be open at a time."""
    stage = any_stage(draw)
    limit = draw.choice([4, 5, 6, 8, 10, 12, 16])  # with three, taken from the start, Python itself does not start
    # to name the file that cannot be opened is right, wherever it is; to have it checked is not
    misleading = "damaged|a file below|check fetch|is missing"
    return faulty(stage, f"{limit} open files", {"limits": {"RLIMIT_NOFILE": limit}}, misleading=misleading)
