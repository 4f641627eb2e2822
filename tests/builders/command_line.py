"""The command line, called in this process."""

import contextlib
import io
from typing import NamedTuple

from reprotune.cli import app


class Outcome(NamedTuple):
    """What a call printed, and how it ended."""

    exit_code: int
    stdout: str
    stderr: str


def reprotune(*words: object) -> Outcome:
    """Call `reprotune` with these words."""
    out, err = io.StringIO(), io.StringIO()
    code: object = None
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            app([str(word) for word in words])
        except SystemExit as ended:
            code = ended.code
    assert code is None or isinstance(code, int)
    return Outcome(code or 0, out.getvalue(), err.getvalue())
