"""Runs stages and commands in forks of a process that has imported everything once; driven by `commands.Workers`.

Importing torch and pyarrow takes seconds, a case a tenth of one. A fork runs the same code as `python -m stages.NAME`
or `reprotune WORD...` would: as `__main__`, in its own session, folder and environment, with output into files. Started
as `python -P forker.py`, in the folder of the project whose code is to run, which is also on PYTHONPATH.

Each line on standard input is a request, as JSON; each line on standard output tells how it ended.
"""

import atexit
import contextlib
import ctypes
import encodings
import faulthandler
import gc
import importlib
import json
import os
import pkgutil
import resource
import runpy
import signal
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any, Never

PAGE = resource.getpagesize()
POLL_SECONDS = 0.01
MOST_MEMORY = 6 << 30
"""Bytes of address space beyond the libraries'; what wants more is judged by what it says then."""
MOST_SAID = 1_000_000
"""Bytes of output that are kept."""
DIE_WITH_PARENT = 1
"""PR_SET_PDEATHSIG of prctl(2)."""


def preload() -> None:
    """Import every module of the package, and what it imports only when needed; no stage, for each is a `__main__`."""
    import reprotune  # noqa: PLC0415
    import stages  # noqa: PLC0415

    for package in (reprotune, stages):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if package is reprotune and not module.name.endswith("__main__"):
                importlib.import_module(module.name)
    for module in pkgutil.iter_modules(encodings.__path__, "encodings."):  # which a user without rights may not read
        with contextlib.suppress(ImportError):
            importlib.import_module(module.name)
    for name in ("dvc.repo", "typer.main", "scipy.stats", "sacrebleu", "pandas"):
        importlib.import_module(name)
    # Stages remove the params' modules that they did not load themselves; here all are loaded from the start.
    gc.collect()
    gc.freeze()


def serve() -> None:
    preload()
    print(json.dumps({"ready": True, "memory": resident_bytes()}), flush=True)
    for line in sys.stdin:
        print(json.dumps(run(json.loads(line))), flush=True)


def run(request: dict[str, Any]) -> dict[str, Any]:
    """Fork, run, wait; a fork that outlasts `seconds` tells its stack and is killed with all that it started.

    Seconds in which it could have gone on, but others had the processor, do not count: on a busy machine that is no
    fault of its own, and one that sleeps or computes too long is found there, too.

    Returns `code` (negative: the signal that ended it), `seconds`, `hung`, and `memory`, the largest resident memory in
    bytes beyond what the fork began with.
    """
    started = time.monotonic()
    said = [bytearray(), bytearray()]
    # Pipes and no files: a limit on the size of files would hold for them, too.
    pipes = [os.pipe(), os.pipe()]
    begun = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(begun[1], str(resident_bytes()).encode())
        child(request, [write for _, write in pipes])
    before = int(os.read(begun[0], 20))  # less than this process has: files are mapped anew
    for end in begun:
        os.close(end)
    for read, write in pipes:
        os.close(write)
        os.set_blocking(read, False)
    hung = False
    while True:
        done, status, usage = os.wait4(pid, os.WNOHANG)
        drain(pipes, said)
        if done:
            break
        late = time.monotonic() - started - seconds_in_line(pid) > request["seconds"]
        if late or stop_now(request):
            hung = late
            if hung:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGUSR1)
                    time.sleep(0.3)
            os.kill(pid, signal.SIGKILL)
            done, status, usage = os.wait4(pid, 0)
            break
        time.sleep(POLL_SECONDS)
    seconds = time.monotonic() - started
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
    drain(pipes, said)
    for read, _ in pipes:
        os.close(read)
    stdout, stderr = (shown(bytes(one)) for one in said)
    return {
        "code": os.waitstatus_to_exitcode(status),
        "seconds": round(seconds, 3),
        "hung": hung,
        "memory": max(0, usage.ru_maxrss * 1024 - before),
        "stdout": stdout,
        "stderr": stderr,
    }


def drain(pipes: list[tuple[int, int]], said: list[bytearray]) -> None:
    """Read what has been printed; of very much, the beginning is kept."""
    for (read, _), text in zip(pipes, said, strict=True):
        with contextlib.suppress(BlockingIOError):
            while piece := os.read(read, 1 << 16):
                text.extend(piece[: max(0, MOST_SAID - len(text))])


def shown(text: bytes) -> str:
    return text.decode("utf-8", "backslashreplace")


def stop_now(request: dict[str, Any]) -> bool:
    """Tell whether the file has appeared after which the fork is to be killed."""
    return bool(request.get("stop_at")) and any(Path(request["folder"]).glob(request["stop_at"]))


def seconds_in_line(pid: int) -> float:
    """Return how long a process was ready to run and did not, because all processors were taken; 0 if it has ended."""
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii").split()[1]) / 1e9
    return 0.0


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * PAGE


def child(request: dict[str, Any], outputs: list[int]) -> Never:
    """Become the command, which prints to `outputs`; never returns."""
    os.setsid()
    ctypes.CDLL(None).prctl(DIE_WITH_PARENT, signal.SIGKILL)
    for descriptor, output in enumerate(outputs, start=1):
        os.dup2(output, descriptor)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.closerange(3, 64)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    faulthandler.register(signal.SIGUSR1, all_threads=True)
    for name, value in ({"RLIMIT_AS": MOST_MEMORY} | request["limits"]).items():
        # address space counts from what this process has already mapped
        own = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * PAGE if name == "RLIMIT_AS" else 0
        resource.setrlimit(getattr(resource, name), (own + value, own + value))
    if request.get("user"):
        os.setgroups([])
        os.setgid(request["user"])
        os.setuid(request["user"])
    # A command refuses to work on a checkout with another `reprotune` than its own; this one is the folder's, for it
    # is the same code. Without this, every command in a copy of the repository ends there, and nothing else is tried.
    sys.modules["reprotune.cli"].__file__ = str(Path(request["folder"]) / "src/reprotune/cli.py")
    if deadlines := request.get("deadlines"):
        from reprotune.judging.service.transport import Deadlines  # noqa: PLC0415

        Deadlines.__init__.__defaults__ = tuple(deadlines[name] for name in Deadlines.__dataclass_fields__)
    code = as_main(request["words"])
    # what the interpreter does at its end
    try:
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException:
        traceback.print_exc()
        code = code or 120
    os._exit(code)


def as_main(words: list[str]) -> int:
    """Run a stage (`stages.NAME`) or the command `reprotune`; returns the exit code."""
    sys.argv = list(words)
    try:
        if words[0] == "reprotune":
            from reprotune.cli import app  # noqa: PLC0415

            app(words[1:])
        else:
            runpy.run_module(words[0], run_name="__main__", alter_sys=True)
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return end.code or 0
        print(end.code, file=sys.stderr)
        return 1
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    serve()
