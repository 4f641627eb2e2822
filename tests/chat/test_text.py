"""Text piece by piece against the same text as a whole."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reprotune.chat.text import Answer, Decoded, Stopped, Transcript
from reprotune.dataset.tokenizers.gpt2 import GPT2Tokenizer
from reprotune.generation.decoding import answer_text

TOKENIZER = GPT2Tokenizer()
TEXTS = st.text(st.sampled_from("ab #\n: é日😀\u0301") | st.characters(exclude_categories=["Cs"]), max_size=40)


@given(TEXTS)
def test_every_piece_is_whole_characters(text: str) -> None:
    """GPT-2 cuts characters beyond its merges into bytes."""
    decoded = Decoded(TOKENIZER)
    pieces = [decoded.add(token) for token in TOKENIZER.encode_batch([text])[0]]
    assert "".join(pieces) + decoded.end() == text
    assert not any("\ufffd" in piece for piece in pieces) or "\ufffd" in text


@given(st.lists(st.integers(0, 50_256), max_size=30))
def test_any_tokens_decode_as_together(ids: list[int]) -> None:
    decoded = Decoded(TOKENIZER)
    text = "".join(decoded.add(token) for token in ids) + decoded.end()
    assert text == TOKENIZER.decode(ids)


@settings(max_examples=300)
@given(st.text("ab#", max_size=30), st.lists(st.text("ab#", min_size=1, max_size=4), max_size=2), st.data())
def test_text_ends_before_the_first_stop_string(text: str, stops: list[str], data: st.DataObject) -> None:
    """Wherever the text is cut into pieces, it ends where it does letter by letter."""
    expected = letters(text, stops)
    stopped = Stopped(stops)
    found, place = "", 0
    while place < len(text):
        size = data.draw(st.integers(1, 3))
        found += stopped.add(text[place : place + size])
        assert expected.startswith(found) or len(stops) > 1
        place += size
    found += stopped.end()
    if len(stops) <= 1:
        assert found == expected
        assert stopped.hit == any(stop in text for stop in stops)
    assert not any(stop in found for stop in stops)


def letters(text: str, stops: list[str]) -> str:
    places = [text.find(stop) for stop in stops if stop in text]
    return text[: min(places)] if places else text


@settings(max_examples=300)
@given(
    st.lists(st.sampled_from(["### A:", "### ", "A:", "#", " ", "\n", "x", "yz"]), max_size=12),
    st.sampled_from(["", "\n\n### A:\n"]),
)
def test_an_answer_is_cleaned_as_a_whole_one(pieces: list[str], header: str) -> None:
    answer = Answer(header)
    found = "".join(map(answer.add, pieces)) + answer.end()
    assert found == answer_text("".join(pieces), header)


@pytest.mark.parametrize("stop", ["Response:", "se:\nT", "日本"])
def test_stop_strings_across_tokens(stop: str) -> None:
    text = "It is 日光.\n### Response:\nTwo 日本"
    transcript = Transcript(TOKENIZER, [stop], "")
    ids = TOKENIZER.encode_batch([text])[0]
    assert all(stop not in TOKENIZER.decode([token]) for token in ids)
    found = ""
    for token in ids:
        found += transcript.add(token)
        if transcript.stopped:
            break
    assert transcript.stopped
    assert found + transcript.end() == text[: text.index(stop)].strip()
