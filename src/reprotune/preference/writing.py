"""Writing a ballot: its key and its page."""

import hashlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa

from reprotune.artifacts import read_table, write_table, write_text
from reprotune.console import counted
from reprotune.errors import UserError
from reprotune.preference.ballot import Plan, make_ballot
from reprotune.preference.contestants import Question
from reprotune.preference.contracts import BALLOT
from reprotune.preference.page import ballot_page
from reprotune.preference.votes import FOLDER, KEY_SUFFIX, PAGE_SUFFIX


def write_ballot(
    name: str, questions: Sequence[Question], alone: int, plan: Plan, folder: Path = FOLDER
) -> Iterator[str]:
    """Write key and page and yield what to tell; `alone` prompts have been left out, as only one contestant has them.

    The same questions give the same bytes. Raises `UserError` on a name that cannot be a file's or is taken by another
    ballot, whose page somebody may be voting on, and where all answers are equal.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,59}", name):
        raise UserError(f"{name[:80]!r} cannot name a ballot: use letters, digits, - and _, at most 60")
    rows = make_ballot(questions, plan)
    shown = [row for row in rows if row["place"] is not None]
    pairs = [row for row in shown if row["control"] is None]
    if not pairs:
        raise UserError("all answers are equal, so there is nothing to vote on: choose other contestants")
    key, page = folder / f"{name}{KEY_SUFFIX}", folder / f"{name}{PAGE_SUFFIX}"
    table = pa.Table.from_pylist(rows, schema=BALLOT)
    if key.exists() and not _is_key_of(key, table):
        raise UserError(f"{key} is the key of another ballot: choose another name, or delete it and its votes first")
    if not key.exists():  # its hash is in the pages that were handed out, so its bytes stay
        write_table(key, table)
    digest = hashlib.sha256(key.read_bytes()).hexdigest()
    write_text(page, ballot_page(rows, digest))
    models = {row[side] for row in pairs for side in ("left_model", "right_model")}
    controls = counted(len(shown) - len(pairs), "control")
    yield f"{page}: {counted(len(pairs), 'pair')} of {counted(len(models), 'model')} and {controls}"
    yield f"{key}: the key, which voters should not see"
    if same := len(rows) - len(shown):
        yield f"{counted(same, 'pair')} of equal answers left out: each counts as a tie"
    if alone:
        yield f"{counted(alone, 'prompt')} left out, which only one of the models answered"


def _is_key_of(path: Path, table: pa.Table) -> bool:
    try:
        return bool(read_table(path, BALLOT).equals(table))
    except UserError:
        return False
