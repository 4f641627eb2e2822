"""Ids of rows: the seam, the ends, the length policies, the counts."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reprotune.artifacts import FORMATTED, FORMATTED_TURNS, TOKENS, TOKENS_TURNS, read_table, write_table
from reprotune.dataset.templates.instructions import load_template
from reprotune.dataset.tokenization import fit, padding_shares, spans, tokenize_file
from reprotune.dataset.tokenizers.gpt2 import GPT2Tokenizer, decode, encode_batch, load, seam_agrees
from reprotune.dataset.tokenizers.gpt2_files import END_OF_TEXT
from reprotune.dataset.tokenizers.load import load_tokenizer
from reprotune.errors import UserError

# Pieces of which GPT-2's pre-tokens are made, and white space that Python and Unicode disagree on.
WORDS = ["a", "the", " the", "'", "'s", "l", "l ", "12", " 3", "?", "!!", "\u00e9", "\u4f60\u597d", "\U0001f600"]
SPACES = ["\n", "\n\n", " ", "  ", "\t", "\r\n", "\u3000", "\x1c", "\x85"]
MARKS = ["<|endoftext|>", "### Response:\n", "Response: "]
PIECE = st.sampled_from([*WORDS, *SPACES, *MARKS])
TEXT = st.one_of(st.lists(PIECE, max_size=8).map("".join), st.text(max_size=20))


@settings(max_examples=500, deadline=None)
@given(TEXT, TEXT)
def test_the_look_at_the_seam_is_exact(prompt: str, response: str) -> None:
    encode = load().encode_ordinary
    assert seam_agrees(prompt, response) == (encode(prompt) + encode(response) == encode(prompt + response))


def test_a_space_at_the_end_of_a_prompt_is_a_seam_that_disagrees() -> None:
    assert not seam_agrees("Answer: ", "four")
    assert seam_agrees("Answer:\n", "four")


def write(path: Path, rows: list[tuple[str, str]]) -> Path:
    full = [{"id": f"r{n}", "prompt": p, "response": r, "header": ""} for n, (p, r) in enumerate(rows)]
    write_table(path, pa.Table.from_pylist(full, schema=FORMATTED))
    return path


@settings(max_examples=50, deadline=None)
@given(rows=st.lists(st.tuples(TEXT.filter(bool), TEXT), min_size=1, max_size=5))
def test_ids_give_the_text_back_and_end_exactly_once(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]]
) -> None:
    folder = tmp_path_factory.mktemp("rows")
    escaped = [(GPT2.escapes.escaped(prompt), GPT2.escapes.escaped(response)) for prompt, response in rows]
    summary = tokenize_file(write(folder / "text.parquet", escaped), folder / "tokens.parquet", GPT2, 1024, "fail")
    tokens = read_table(folder / "tokens.parquet", TOKENS).to_pylist()
    assert summary["rows"] == len(rows)
    for (prompt, response), row in zip(rows, tokens, strict=True):
        assert decode(row["prompt_ids"] + row["response_ids"][:-1]) == prompt + response
        assert [row["prompt_ids"]] == encode_batch([prompt]), "generation would use other ids"
        assert row["response_ids"][-1] == END_OF_TEXT
        assert END_OF_TEXT not in row["prompt_ids"] + row["response_ids"][:-1]


GPT2 = GPT2Tokenizer()
PROMPT, RESPONSE = [1, 2, 3, 4], [5, 6, END_OF_TEXT]


@pytest.mark.parametrize(
    ("max_length", "policy", "expected"),
    [
        (7, "fail", (PROMPT, RESPONSE, None)),
        (6, "drop", (PROMPT, RESPONSE, "too_long")),
        (6, "fail", (PROMPT, RESPONSE, "too_long")),
        (6, "truncate_prompt", ([2, 3, 4], RESPONSE, "truncated_prompt")),
        (4, "truncate_prompt", ([4], RESPONSE, "truncated_prompt")),
        (3, "truncate_prompt", ([], RESPONSE, "nothing_to_learn")),
        (2, "truncate_prompt", ([], RESPONSE, "nothing_to_learn")),
        (6, "truncate_response", (PROMPT, [5, 6], "truncated_response")),
        (5, "truncate_response", (PROMPT, [5], "truncated_response")),
        (4, "truncate_response", (PROMPT, [], "nothing_to_learn")),
        (2, "truncate_response", (PROMPT, [], "nothing_to_learn")),
    ],
)
def test_length_policies(max_length: int, policy: str, expected: tuple[list[int], list[int], str | None]) -> None:
    assert fit(PROMPT, RESPONSE, max_length, policy) == expected


@given(
    st.lists(st.integers(0, 9), max_size=9),
    st.lists(st.integers(0, 9), max_size=9),
    st.integers(2, 12),
    st.sampled_from(["drop", "truncate_prompt", "truncate_response"]),
)
def test_a_kept_row_fits_and_never_ends_falsely(prompt: list[int], answer: list[int], most: int, policy: str) -> None:
    whole = [*answer, END_OF_TEXT]
    prompt_ids, response_ids, event = fit(prompt, whole, most, policy)
    if event in ("too_long", "nothing_to_learn"):
        return
    assert 2 <= len(prompt_ids) + len(response_ids) <= most
    assert prompt_ids == prompt[len(prompt) - len(prompt_ids) :]
    assert response_ids == whole[: len(response_ids)]
    assert (response_ids == whole) == (event != "truncated_response")


ROWS = [("one two\n", "three"), ("one two three four five six\n", "seven"), ("one\n", "two three four five six seven")]


@pytest.mark.parametrize(
    ("policy", "rows", "counts"),
    [
        ("drop", 1, {"dropped": 2, "dropped_too_long": 2, "dropped_nothing_to_learn": 0}),
        ("truncate_prompt", 2, {"truncated_prompts": 1, "dropped": 1, "dropped_nothing_to_learn": 1}),
        ("truncate_response", 2, {"truncated_responses": 1, "dropped": 1, "dropped_nothing_to_learn": 1}),
    ],
)
def test_what_was_cut_and_dropped_is_counted(tmp_path: Path, policy: str, rows: int, counts: dict[str, int]) -> None:
    summary = tokenize_file(write(tmp_path / "text.parquet", ROWS), tmp_path / "tokens.parquet", GPT2, 6, policy)
    assert summary["rows"] == rows == read_table(tmp_path / "tokens.parquet", TOKENS).num_rows
    for name, count in counts.items():
        assert summary[name] == count, name
    assert summary["length"]["max"] <= 6


def test_fail_names_the_row_and_leaves_no_file(tmp_path: Path) -> None:
    source = write(tmp_path / "text.parquet", ROWS)
    with pytest.raises(UserError, match=r"text\.parquet: row r1 has 9 tokens, but tokenize\.max_length is 6"):
        tokenize_file(source, tmp_path / "tokens.parquet", GPT2, 6, "fail")
    assert not (tmp_path / "tokens.parquet").exists()


def test_a_split_with_no_row_left_is_refused(tmp_path: Path) -> None:
    source = write(tmp_path / "text.parquet", ROWS)
    with pytest.raises(UserError, match=r"no row is left .*max_length 2"):
        tokenize_file(source, tmp_path / "tokens.parquet", GPT2, 2, "drop")


def test_seams_are_counted(tmp_path: Path) -> None:
    source = write(tmp_path / "text.parquet", [("Q: ", "a"), ("Q:\n", "a"), ("Q:\n", "\n")])
    assert tokenize_file(source, tmp_path / "tokens.parquet", GPT2, 1024, "fail")["seam_disagreements"] == 2


@pytest.mark.parametrize(
    ("template", "tokens", "longest"), [("alpaca", 62_025 + 1100, 92), ("phi3", 42_800 + 1100, 76)]
)
def test_the_real_rows_have_the_published_counts(
    shared_data: Path, tmp_path: Path, template: str, tokens: int, longest: int
) -> None:
    """Counts of the book chapter's data, to which we add one end-of-text a row; every seam there agrees."""
    rows = json.loads((shared_data / "llms-from-scratch/instruction-data.json").read_text(encoding="utf-8"))
    form = load_template(template)
    texts = [form.format({**row, "id": "r", "category": None}, "in_response") for row in rows]
    source = write(tmp_path / "text.parquet", [(text["prompt"], text["response"]) for text in texts])
    summary = tokenize_file(source, tmp_path / "tokens.parquet", GPT2, 1024, "fail")
    assert summary["tokens"] == tokens
    assert summary["length"]["max"] == longest
    assert summary["seam_disagreements"] == 0


def test_summary_of_a_small_split(tmp_path: Path) -> None:
    source = write(tmp_path / "text.parquet", [("one\n", "two"), ("one two\n", "three four")])
    summary = tokenize_file(source, tmp_path / "tokens.parquet", GPT2, 1024, "fail")
    assert summary["tokens"] == 4 + 6
    assert summary["trained_token_share"] == 0.5
    assert summary["length"] == {"min": 4, "p25": 4, "median": 4, "p75": 6, "p95": 6, "p99": 6, "max": 6}


def test_padding_is_counted_as_the_collate_pads() -> None:
    """Inputs are one shorter than rows. Widths by hand, batches of two: 9 | 9,2,4 | 2,4,9."""
    lengths = np.array([3, 10, 2, 3, 5])
    real = 2 + 9 + 1 + 2 + 4
    assert padding_shares(lengths, batch_size=2) == {
        "static": round(1 - real / (5 * 9), 6),
        "dynamic": round(1 - real / (2 * 9 + 2 * 2 + 4), 6),
        "bucketed": round(1 - real / (2 * 2 + 2 * 4 + 9), 6),
        "packed": 0.0,
    }


def write_turns(path: Path, conversations: list[list[str]]) -> Path:
    """Write conversations whose texts are read and learned in turn."""
    rows = [
        {
            "id": f"r{n}",
            "prompt": "".join(texts[:-1]),
            "response": texts[-1],
            "header": "",
            "turns": [{"text": text, "trained": place % 2 == 1} for place, text in enumerate(texts)],
        }
        for n, texts in enumerate(conversations)
    ]
    write_table(path, pa.Table.from_pylist(rows, schema=FORMATTED_TURNS))
    return path


def test_the_spans_of_a_conversation_are_its_learned_turns(tmp_path: Path) -> None:
    said = [["Q: one\n", "A: two\n", "Q: three\n", "A: four\n"], ["<|endoftext|>", "a plain text"]]
    source = write_turns(tmp_path / "text.parquet", said)
    summary = tokenize_file(source, tmp_path / "tokens.parquet", GPT2, 1024, "fail")
    rows = read_table(tmp_path / "tokens.parquet", TOKENS_TURNS).to_pylist()
    learned = [
        [
            decode((row["prompt_ids"] + row["response_ids"])[span["start"] : span["end"]])
            for span in row["trained_spans"]
        ]
        for row in rows
    ]
    assert learned == [["A: two\n", "A: four\n<|endoftext|>"], ["a plain text<|endoftext|>"]]
    assert rows[1]["prompt_ids"] == [END_OF_TEXT]
    assert summary["trained_turns"] == 3
    trained = sum(span["end"] - span["start"] for row in rows for span in row["trained_spans"])
    assert summary["trained_token_share"] == round(trained / summary["tokens"], 6)


@given(
    st.lists(
        st.lists(TEXT.filter(bool), min_size=2, max_size=6).filter(lambda t: len(t) % 2 == 0), min_size=1, max_size=3
    ),
    st.integers(2, 40),
    st.sampled_from(["truncate_prompt", "truncate_response"]),
)
def test_what_a_cut_conversation_learns_was_learned_in_the_whole(
    tmp_path_factory: pytest.TempPathFactory, said: list[list[str]], most: int, policy: str
) -> None:
    folder = tmp_path_factory.mktemp("turns")
    source = write_turns(folder / "text.parquet", said)
    tokenize_file(source, folder / "whole.parquet", GPT2, 100_000, "fail")
    try:
        tokenize_file(source, folder / "cut.parquet", GPT2, most, policy)
    except UserError:
        return
    whole = {row["id"]: row for row in read_table(folder / "whole.parquet", TOKENS_TURNS).to_pylist()}
    for row in read_table(folder / "cut.parquet", TOKENS_TURNS).to_pylist():
        before = whole[row["id"]]
        start = len(before["prompt_ids"]) - len(row["prompt_ids"])
        places = {place - start for span in before["trained_spans"] for place in range(span["start"], span["end"])}
        ids = row["prompt_ids"] + row["response_ids"]
        kept = {place for span in row["trained_spans"] for place in range(span["start"], span["end"])}
        assert kept == {place for place in places if 0 <= place < len(ids)}
        assert len(ids) <= most
        assert kept, "the response is always learned"


def test_a_beginning_of_text_is_never_cut() -> None:
    assert fit([0, 1, 2, 3], [5, 6], 4, "truncate_prompt", kept=1) == ([0, 3], [5, 6], "truncated_prompt")
    assert fit([0, 1, 2, 3], [5, 6], 3, "truncate_prompt", kept=1) == ([], [5, 6], "nothing_to_learn")


def test_a_template_that_ends_the_answer_itself_gets_no_second_end(tmp_path: Path, qwen_folder: Path) -> None:
    tokenizer = load_tokenizer(qwen_folder)
    source = write(tmp_path / "text.parquet", [("<|im_start|>a\n", "b<|im_end|>\n"), ("a\n", "b")])
    tokenize_file(source, tmp_path / "tokens.parquet", tokenizer, 1024, "fail")
    rows = read_table(tmp_path / "tokens.parquet", TOKENS).to_pylist()
    assert [tokenizer.decode(row["response_ids"]) for row in rows] == ["b<|im_end|>\n", "b<|im_end|>"]


def test_spans_are_sorted_and_do_not_touch() -> None:
    learned = np.array([True, True, False, True, False, False, True])
    assert spans(learned) == [{"start": 0, "end": 2}, {"start": 3, "end": 4}, {"start": 6, "end": 7}]
    assert spans(np.zeros(3, dtype=bool)) == []
