"""Text of rows beside special tokens: nothing that a row says becomes one, and nothing of it is lost."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reprotune.dataset.tokenizers.escapes import ESCAPE, HARMLESS, NO_ESCAPES, Escapes, Part

SPELLINGS = ["<|im_start|>", "<|im_end|>", "<s>", "</s>", "[INST]", "<<s>", "é"]
ESCAPES = Escapes(SPELLINGS)
PIECE = st.one_of(
    st.sampled_from([*SPELLINGS, ESCAPE, HARMLESS, "<", "|>", "im_end", "<|im_", "s", "[", "\n", " "]),
    st.text(max_size=4),
)
TEXT = st.lists(PIECE, max_size=6).map("".join)


@given(TEXT, st.booleans())
def test_an_escaped_text_is_one_stretch_of_ordinary_text(text: str, edges: bool) -> None:
    escaped = ESCAPES.escaped(text, edges)
    assert ESCAPES.parts(escaped) == ([Part(text, False)] if text else [])
    assert ESCAPES.plain(escaped) == text


@given(TEXT, TEXT, TEXT)
def test_with_its_edges_escaped_a_text_joins_nothing_that_stands_around_it(before: str, text: str, after: str) -> None:
    """The special tokens of the whole are those that stand in the template's own two texts."""
    before, after = before.replace(ESCAPE, ""), after.replace(ESCAPE, "")
    parts = ESCAPES.parts(before + ESCAPES.escaped(text, edges=True) + after)
    around = [*ESCAPES.parts(before), *ESCAPES.parts(after)]
    if text:
        assert [part for part in parts if part.special] == [part for part in around if part.special]
    assert "".join(part.text for part in parts) == before + text + after


def test_parts_in_the_order_of_the_text_and_the_longest_token_first() -> None:
    assert ESCAPES.parts("<s>a<<s>b</s>") == [
        Part("<s>", True),
        Part("a", False),
        Part("<<s>", True),
        Part("b", False),
        Part("</s>", True),
    ]
    assert NO_ESCAPES.parts("<s>") == [Part("<s>", False)]


def test_edges_are_escaped_only_where_that_makes_a_difference() -> None:
    texts = ["<", "im_end"]
    harmless = ESCAPES.written(texts, lambda escape: [f"a {escape(texts[0])} b {escape(texts[1])} c"])
    assert harmless == ["a < b im_end c"]
    (joined,) = ESCAPES.written(["s"], lambda escape: [f"<{escape('s')}>"])
    assert ESCAPES.parts(joined) == [Part("<s>", False)]


@pytest.mark.parametrize("change", [lambda text: text[1:], lambda text: text.replace(ESCAPE, "")])
def test_a_template_that_loses_an_escape_is_found_out(change: object) -> None:
    assert callable(change)
    with pytest.raises(ValueError, match="might then become one"):
        ESCAPES.written(["</s>"], lambda escape: [change(escape("</s>"))])
    assert ESCAPES.written(["fine"], lambda escape: [change(escape("fine"))]) == [change("fine")]


def test_the_tokens_that_a_text_spells() -> None:
    assert ESCAPES.spelled("<s> and <s>, [INST]") == {"<s>", "[INST]"}
    assert not re.search(ESCAPE, ESCAPES.escaped("an ordinary text > 3"))
