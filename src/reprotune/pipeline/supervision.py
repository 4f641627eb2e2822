"""What keeps DVC's record of a stage true: one process per stage, inputs that stay as they were, no orphans.

DVC notes the params and hashes of a stage's deps when the stage has ended, not when it began, and a killed DVC leaves
its stages running. Nothing here returns anything to a stage.
"""

import fcntl
import hashlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from reprotune.console import note
from reprotune.errors import UserError
from reprotune.params.values import PARAMS_FILE, read_document
from reprotune.pipeline.dvc_yaml import expanded_stages, running_stage

LOCKS = Path(".reprotune/locks")
LOCK_SECONDS = 15.0
"""How long to wait for another process of the same stage: an orphan notices within seconds that it is one."""
HASHED_BYTES = 1 << 20
"""Files up to this size are compared by content, larger ones by size and time."""
WATCH_SECONDS = 1.0
GRACE_SECONDS = 10.0
"""How long an orphan may take to end by itself."""


@contextmanager
def only_process(stage: str) -> Iterator[None]:
    """Hold the lock of a stage in this working directory; raises `UserError` where another process keeps it."""
    LOCKS.mkdir(parents=True, exist_ok=True)
    with (LOCKS / stage).open("a+b", buffering=0) as file:
        if not _locked(file.fileno(), LOCK_SECONDS):
            file.seek(0)
            process = file.read(20).decode("ascii", "replace").strip()
            raise UserError(
                f"another process (id {process or 'unknown'}) is running {stage} here: wait for it, or end it with "
                f"`kill {process or 'ID'}`"
            )
        with suppress(OSError):  # on a full disk: the number only helps whoever waits
            file.truncate(0)
            file.write(f"{os.getpid()}\n".encode())
        yield


def _locked(descriptor: int, seconds: float) -> bool:
    ends = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > ends:
                return False
            time.sleep(0.1)
        else:
            return True


class _FileState(NamedTuple):
    """What is remembered of a file; None of a missing one."""

    size: int
    modified: int
    content: str | None
    """Hash of a small file."""


class Inputs:
    """The deps and params of a stage as they were when it began, according to dvc.yaml."""

    def __init__(self, definition: dict[str, Any]) -> None:
        self._deps = [Path(next(iter(dep)) if isinstance(dep, dict) else dep) for dep in definition.get("deps", [])]
        self._keys = [key for key in definition.get("params", []) if isinstance(key, str)]
        self._params = self._values()
        self._files = {path: _state(path) for path in self._paths()}

    @classmethod
    def of_running_stage(cls) -> "Inputs | None":
        """Return those of the stage that DVC runs in this process; null where DVC does not."""
        file, name = running_stage()
        stages = dict(expanded_stages(read_document(Path(file)))) if name else {}
        return cls(stages[name]) if name in stages else None

    def changed(self) -> list[str]:
        """Return the params and files that are no longer what they were, for people to read."""
        now = self._values()
        found = [f"{key} in {PARAMS_FILE}" for key in self._keys if now.get(key) != self._params.get(key)]
        paths = self._paths()
        found += [str(path) for path in sorted(paths ^ self._files.keys())]
        return found + [str(path) for path in sorted(paths & self._files.keys()) if _differs(path, self._files[path])]

    def check(self, stage: str) -> None:
        """Raise `UserError` if any has changed, because DVC would record the results under what they are now."""
        if changed := self.changed():
            more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
            raise UserError(
                f"{', '.join(changed[:3])}{more} changed while {stage} ran, so its results are not recorded: undo the "
                "change and run `dvc repro` to have them, or just run `dvc repro` to compute with what is there now"
            )

    def _paths(self) -> set[Path]:
        """Return every file of the deps, those in folders included."""
        found = set()
        for dep in self._deps:
            found |= {path for path in dep.rglob("*") if path.is_file()} if dep.is_dir() else {dep}
        return found

    def _values(self) -> dict[str, Any]:
        """Return the watched params by their dotted keys."""
        try:
            document = read_document(PARAMS_FILE)
        except UserError:  # half-edited; the stage itself has read it whole
            return {}
        values = {}
        for key in self._keys:
            value = document
            for part in key.split("."):
                value = value.get(part) if isinstance(value, dict) else None
            values[key] = value
        return values


def _state(path: Path) -> _FileState | None:
    try:
        found = path.stat()
        small = found.st_size <= HASHED_BYTES
        content = hashlib.sha256(path.read_bytes()).hexdigest() if small else None
    except OSError:
        return None
    return _FileState(found.st_size, found.st_mtime_ns, content)


def _differs(path: Path, before: _FileState | None) -> bool:
    """Tell whether a file is another than before; reads it only where its size and time leave a doubt."""
    try:
        found = path.stat()
    except OSError:
        return before is not None
    if before is None or found.st_size != before.size:
        return True
    if found.st_mtime_ns == before.modified:
        return False
    return before.content is None or _state(path) != before._replace(modified=found.st_mtime_ns)


def watch(stage: str, inputs: Inputs | None) -> None:
    """Watch over a stage that DVC runs, from a thread of its own until the process ends.

    Once DVC is gone, nobody would record the results: the stage gets what Ctrl-C sends. An input that changes is told
    at once, not only when the stage has ended.
    """
    if "DVC_STAGE" in os.environ:
        threading.Thread(target=_watch, args=(stage, inputs, _line_of_dvc()), daemon=True).start()


def _watch(stage: str, inputs: Inputs | None, line: list[int]) -> None:
    told = False
    while True:
        time.sleep(WATCH_SECONDS)
        if _line_of_dvc()[: len(line)] != line:
            note(f"{stage}: DVC is gone, and with it whoever would record the results; ending")
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(GRACE_SECONDS)
            os._exit(130)
        if inputs is not None and not told and (changed := inputs.changed()):
            note(f"{stage}: {changed[0]} has changed meanwhile; unless that is undone, the results are not recorded")
            told = True


def _line_of_dvc() -> list[int]:
    """Return the process ids from this process's parent up to DVC, which may have a shell in between.

    Only the parent where there is no /proc, or no ancestor that looks like DVC.
    """
    line = [os.getppid()]
    while len(line) < 4:
        try:
            words = Path(f"/proc/{line[-1]}/cmdline").read_bytes().split(b"\0")
            if any(Path(os.fsdecode(word)).name == "dvc" for word in words[:4]):
                return line
            status = Path(f"/proc/{line[-1]}/stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            break
        line.append(int(status.rpartition(")")[2].split()[1]))
    return line[:1]
