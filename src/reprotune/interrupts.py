"""Ctrl-C that arrives while Python is where it can raise nothing."""

import _thread
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

AGAIN_SECONDS = 0.05


@contextmanager
def interruptible() -> Iterator[None]:
    """Let Ctrl-C end what runs inside, wherever it strikes.

    Python swallows an exception that is raised within a destructor or the callback of a weak reference, and reports it
    to `sys.unraisablehook` at most. A `KeyboardInterrupt` that ends there is sent once more, a moment later.
    """
    before = sys.unraisablehook
    running = True

    def send_again() -> None:
        time.sleep(AGAIN_SECONDS)
        if running:
            os.kill(os.getpid(), signal.SIGINT)

    def hook(unraisable: Any) -> None:
        if issubclass(unraisable.exc_type, KeyboardInterrupt):
            _thread.start_new_thread(send_again, ())  # not `threading`, whose lock the interrupted code may hold
        else:
            before(unraisable)

    sys.unraisablehook = hook
    try:
        yield
    finally:
        running = False
        sys.unraisablehook = before
