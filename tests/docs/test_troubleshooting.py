"""The messages that docs/troubleshooting.md quotes are those that the code prints."""

import ast
import re

import pytest

from tests.builders.manual import ROOT, Block, code_blocks

FIXED = 20
"""Characters of a message that are always the same; with fewer, it would match anything."""
DVC = "ERROR: "
"""Begins the messages of DVC, which are not ours to check."""

QUOTES = [
    block
    for block in code_blocks(ROOT / "docs/troubleshooting.md")
    if block.language == "text" and not block.code.startswith(DVC)
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


def read_messages() -> list[re.Pattern[str]]:
    """Return every text of the code as a pattern, in which whatever is filled in may be anything."""
    found = []
    for path in [*(ROOT / "src").rglob("*.py"), *(ROOT / "stages").glob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            parts = node.values if isinstance(node, ast.JoinedStr) else [node]
            texts = [re.sub(r"\s+", " ", part.value) if is_text(part) else None for part in parts]
            if sum(len(text) for text in texts if text) >= FIXED:
                found.append(re.compile("".join(".+" if text is None else re.escape(text) for text in texts)))
    return found


def is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


MESSAGES = read_messages()
