"""Text of others: hidden characters are shown, length is bounded."""

from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from reprotune.untrusted import clipped, visible


def test_hidden_characters_are_spelled_out_and_joiners_stay() -> None:
    assert visible("a\u202eb\x1b\n\t\U0001f469\u200d\U0001f680") == "a⟨U+202E⟩b⟨U+001B⟩\n\t\U0001f469\u200d\U0001f680"


def test_what_is_no_text_of_others_stays_as_it_is() -> None:
    for value in (None, 3, Markup("<b>\x00</b>")):
        assert visible(value) is value


@given(st.text(max_size=30), st.integers(1, 20))
def test_clipped_text_says_so_and_keeps_to_the_limit(text: str, limit: int) -> None:
    found = clipped(text, limit)
    assert found == text if len(text) <= limit else len(found) == limit and found.endswith("…")


def test_accents_beyond_those_of_any_script_are_spelled_out() -> None:
    honest = "Z\u0351\u036b\u0343\u036a\u0302 \u05d1\u05bc\u05b0\u05e8 1\ufe0f\u20e3"
    assert visible(honest) == honest
    assert visible("Q" + "\u0301" * 7 + "x") == "Q" + "\u0301" * 5 + "⟨U+0301⟩⟨U+0301⟩x"
    joined = "Q" + "\u0301\u200d" * 6
    assert visible(joined) == "Q" + "\u0301\u200d" * 5 + "⟨U+0301⟩\u200d"
