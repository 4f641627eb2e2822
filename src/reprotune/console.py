"""What a person sees while a stage runs: progress, notes, one-sentence errors.

Nothing here can change a result, so `reprotune deps` leaves this module out of every stage's deps.
"""

import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Never, TypeVar

from tqdm import tqdm

from reprotune.artifacts import write_json
from reprotune.errors import UserError
from reprotune.faults import advised, told
from reprotune.interrupts import interruptible

Item = TypeVar("Item")

TIMINGS_DIRECTORY = Path(".reprotune/timings")
RECOVERY = (
    "Correct that and run `dvc repro` again: it continues from here, and your edits stay. Only to give up: "
    "`git stash && dvc checkout` goes back to the last commit (`git stash pop` returns your edits)."
)


def counted(number: int, noun: str) -> str:
    """Return a number with its noun: `1 row`, `2 rows`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def note(text: str) -> None:
    """Print one line for the person who watches, on standard error."""
    tqdm.write(text, file=sys.stderr)


def progress(items: Iterable[Item], description: str, total: int | None = None) -> Iterator[Item]:
    """Yield `items` behind a progress bar."""
    with progress_bar(description, total) as bar:
        for item in items:
            yield item
            bar.update()


def progress_bar(description: str, total: int | None = None, unit: str = "it") -> "tqdm[Never]":
    """Return a progress bar, a context manager that is advanced with `.update(n)`.

    It appears after half a second, so that short work leaves no trace. If standard error is not a terminal but a log
    file, it prints at most one line every ten seconds.
    """
    return tqdm(
        desc=description,
        total=total,
        delay=0.5,
        mininterval=0.1 if sys.stderr.isatty() else 10.0,
        unit=unit,
        unit_scale=unit != "it",
        dynamic_ncols=True,
        file=sys.stderr,
        ascii=True,
    )


def run_stage(name: str, main: Callable[[], None]) -> None:
    """Run a stage's `main`, record its wall time for `reprotune summary`, and turn faults into one sentence.

    Exits with 1 after a `UserError` or any other exception (see `faults.told`), and with 130 after Ctrl-C.
    """
    started = time.perf_counter()
    before = signal.getsignal(signal.SIGINT)
    try:
        if callable(before):  # not where Ctrl-C is ignored
            signal.signal(signal.SIGINT, signal.default_int_handler)
        with interruptible():
            main()
    except UserError as error:
        sys.exit(f"{name}: error: {advised(error, name)}\n{RECOVERY}")
    except KeyboardInterrupt:
        print(f"{name}: interrupted; `dvc repro` continues from the last saved progress", file=sys.stderr)
        sys.exit(130)
    except Exception as error:
        sys.exit(f"{name}: error: {told(error, name)}\n{RECOVERY}")
    finally:
        signal.signal(signal.SIGINT, before)
    try:
        record_seconds(name, time.perf_counter() - started)
    except OSError as error:  # the results are written; the time is only shown
        note(f"{name}: its wall time is not kept: {told(error, name)}")


def record_seconds(name: str, seconds: float) -> None:
    """Record the wall time of the latest finished run of `name`; only `reprotune summary` reads it."""
    write_json(TIMINGS_DIRECTORY / f"{name}.json", {"stage": name, "seconds": round(seconds, 3)})
