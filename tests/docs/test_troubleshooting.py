"""The messages that docs/troubleshooting.md quotes are those that the code prints."""

import ast
import re
from collections.abc import Iterable
from pathlib import Path

import dvc.lock
import dvc.rwlock
import pytest

from tests.builders.manual import ROOT, Block, code_blocks

FIXED = 20
"""Characters of a message that are always the same; with fewer, it would match anything."""
DVC = ("ERROR: ", "WARNING: ")
"""Begin the messages of DVC. Of these, those about its locks are looked up in its code."""

BLOCKS = [block for block in code_blocks(ROOT / "docs/troubleshooting.md") if block.language == "text"]
QUOTES = [block for block in BLOCKS if not block.code.startswith(DVC)]
LOCK_QUOTES = [
    block for block in BLOCKS if block.code.startswith(DVC) and re.search("RWLock|is busy|acquire lock", block.code)
]


def test_there_are_quotes() -> None:
    assert len(QUOTES) > 20


@pytest.mark.parametrize("quote", QUOTES, ids=lambda quote: quote.place)
def test_a_quoted_message_is_in_the_code(quote: Block) -> None:
    said = " ".join(quote.code.split())
    sentence = re.sub(r"^([\w@]+: )?error: ", "", said)
    assert any(message.fullmatch(said) or message.fullmatch(sentence) for message in MESSAGES), (
        f"{quote.place}: no module says this: {said}"
    )


@pytest.mark.parametrize("quote", LOCK_QUOTES, ids=lambda quote: quote.place)
def test_what_dvc_says_of_its_locks_is_what_this_version_says(quote: Block) -> None:
    said = " ".join(quote.code.split())
    assert any(message.search(said) for message in LOCK_MESSAGES), f"{quote.place}: DVC does not say this: {said}"


def test_every_lock_of_dvc_has_its_message() -> None:
    assert len(LOCK_QUOTES) == 5


def read_messages(paths: Iterable[Path]) -> list[re.Pattern[str]]:
    """Return every text of the code as a pattern, in which whatever is filled in may be anything."""
    found = []
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            parts = node.values if isinstance(node, ast.JoinedStr) else [node]
            texts = [re.sub(r"\s+", " ", part.value) if is_text(part) else None for part in parts]
            if sum(len(text) for text in texts if text) >= FIXED:
                pattern = "".join(".+" if text is None else re.escape(text) for text in texts)
                found.append(re.compile(re.sub("%s|\\\\{\\\\}", ".+", pattern)))
    return found


def is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


MESSAGES = read_messages([*(ROOT / "src").rglob("*.py"), *(ROOT / "stages").glob("*.py")])
LOCK_MESSAGES = read_messages(Path(str(module.__file__)) for module in (dvc.lock, dvc.rwlock))
