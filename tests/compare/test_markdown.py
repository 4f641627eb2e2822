"""The comparison as Markdown: of bounded size, with no markup but our own."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from reprotune.compare.comparison import compare
from reprotune.compare.markdown import MAX_CHARS, code_block, code_span, comparison_markdown
from reprotune.compare.snapshot import Snapshot

GITHUB = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
NASTY = st.text(alphabet=st.sampled_from("`~|\\<>&*_[]()!#-= \t\nab@\u202e\x00"), max_size=60)


def tokens(markdown: str) -> list[Token]:
    flat = GITHUB.parse(markdown)
    return flat + [child for token in flat for child in token.children or []]


def test_only_our_own_markup_is_left(snapshots: tuple[Snapshot, Snapshot]) -> None:
    text = comparison_markdown(compare(*snapshots))
    markup = [token.content.strip() for token in tokens(text) if token.type in ("html_block", "html_inline")]
    assert markup == ["<details><summary>Both answers, side by side</summary>", "</details>"]
    assert not [token for token in tokens(text) if token.type in ("link_open", "image")]
    assert "\u202e" not in text
    for expected in ("better: ", "` finetune.epochs ` | ` 2 ` | ` 5 `", "newly exact", "1 from train to validation"):
        assert expected in text


@pytest.mark.parametrize("copies", [1, 40])
def test_the_size_is_bounded_and_the_rest_counted(snapshots: tuple[Snapshot, Snapshot], copies: int) -> None:
    comparison = compare(*snapshots)
    big = replace(comparison, rows=comparison.rows * copies)
    text = comparison_markdown(big)
    assert len(text) <= MAX_CHARS
    assert ("more are on the HTML page" in text) == (copies > 1)


@given(NASTY)
def test_a_span_is_one_piece_of_code_in_a_table(text: str) -> None:
    parsed = tokens(f"| a | b |\n|---|---|\n| {code_span(text)} | end |\n")
    cells = [token.content for token in parsed if token.type == "inline"]
    assert len(cells) == 4
    assert cells[3] == "end"
    kinds = {token.type for token in parsed if token.type not in ("text", "inline")} - {"code_inline"}
    assert not any(kind.startswith(("html", "link", "em", "strong", "image")) for kind in kinds)


@given(NASTY)
def test_a_block_cannot_be_ended_from_within(text: str) -> None:
    parsed = [token for token in tokens(f"before\n{code_block(text)}\n\nafter\n") if token.type != "text"]
    assert [token.type for token in parsed if token.type in ("fence", "html_block", "heading_open")] == ["fence"]
    assert parsed[-1].content in ("after", "")
