"""Templates and rubrics that users write: how they are read, and run within bounds.

Jinja's sandbox keeps a template from files, imports and Python's internals; here it is also kept from taking all time
and memory: by nested loops, by texts that double again and again, by recursion, by the widths of filters.
"""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, Never

import jinja2
from jinja2 import meta, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment, SecurityError

from reprotune.files import read_text
from reprotune.memory import limited_memory

TEMPLATE_BYTES = 256 << 10
"""Largest template file."""
MOST_CHARS = 4_000_000
"""Longest text that a template may make; a model's context is a thousandth of that."""
MOST_SECONDS = 15
"""Longest time for all that runs in one `bounded` block."""
AGAIN_SECONDS = 0.5
"""How soon the alarm is repeated where it was not heard."""
MOST_MEMORY = 512 << 20
"""Bytes that a template may take, where the system can limit them (Linux)."""
MOST_EXPONENT = 64


class BoundedEnvironment(ImmutableSandboxedEnvironment):
    """The sandbox, without powers that take minutes in a single step, which no alarm can interrupt."""

    intercepted_binops = frozenset({"**"})

    def call_binop(self, context: jinja2.runtime.Context, operator: str, left: Any, right: Any) -> Any:
        """Compute `left ** right`, the only operator that is intercepted."""
        if abs(left) > 10**6 or abs(right) > MOST_EXPONENT:
            raise SecurityError(f"powers are limited to exponents up to {MOST_EXPONENT} of numbers up to 1,000,000")
        return super().call_binop(context, operator, left, right)


def read_template(path: Path, remedy: str) -> str:
    """Return the text of a template file, with `\\n` as line ends; raises `UserError` that ends in `remedy`."""
    return read_text(path, remedy, TEMPLATE_BYTES).replace("\r\n", "\n").replace("\r", "\n")


def compiled(environment: jinja2.Environment, source: str) -> tuple[jinja2.Template, nodes.Template]:
    """Compile a template, and return its syntax tree too.

    Raises what `fault_words` explains, or `jinja2.TemplateSyntaxError`.
    """
    with bounded():
        return environment.from_string(source), environment.parse(source)


def undeclared_names(tree: nodes.Template) -> set[str]:
    """Return the names that a template takes from outside; raises as `compiled` does."""
    with bounded():  # Jinja computes constant expressions on the way
        return meta.find_undeclared_variables(tree)


def rendered(render: Callable[[], str]) -> str:
    """Return what a template makes, called within `bounded`; raises `ValueError` if that is too long or no text."""
    text = render()
    if len(text) > MOST_CHARS:
        raise ValueError(f"it makes a text of {len(text):,} characters, and {MOST_CHARS:,} is the limit")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError("it writes half of a surrogate pair, which is no character") from None
    return text


def fault_words(error: Exception) -> str:
    """Return in words why a template could not be compiled or rendered."""
    if isinstance(error, RecursionError | SyntaxError):  # the latter of the code that Jinja makes
        return "it is nested too deep, or calls itself without end"
    if isinstance(error, MemoryError):
        return f"it takes more than {MOST_MEMORY >> 20} MB of memory"
    return " ".join(str(error).split()) or type(error).__name__


class _TooLongError(Exception):
    """The time is up."""


@contextmanager
def bounded() -> Iterator[None]:
    """Limit the time and memory of what runs in the block; it then raises an exception for `fault_words`.

    The time is limited in the main thread only, where signals arrive.
    """
    # The memory's limit is lifted after the alarm is off, which could otherwise keep it from being lifted.
    with limited_memory(MOST_MEMORY), _alarm():
        yield


@contextmanager
def _alarm() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGALRM, _time_is_up)
    # Again and again: Python swallows an exception that is raised within a destructor or a callback of its collector.
    signal.setitimer(signal.ITIMER_REAL, MOST_SECONDS, AGAIN_SECONDS)
    try:
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    finally:  # also where the alarm came just before that line
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _time_is_up(number: int, frame: FrameType | None) -> Never:
    raise _TooLongError(f"it takes more than {MOST_SECONDS} s")
