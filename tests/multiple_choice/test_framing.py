"""Tokens of prompts and continuations: cut as lm-eval cuts plain text, and as training cuts a template."""

from pathlib import Path

import pytest

from reprotune.dataset.templates.formatter import InstructionFormatter, load_formatter
from reprotune.dataset.tokenizers.document import read_tokenizer_files
from reprotune.dataset.tokenizers.gpt2 import GPT2Tokenizer
from reprotune.dataset.tokenizers.load import load_tokenizer
from reprotune.errors import UserError
from reprotune.multiple_choice.framing import InTemplate, PlainText, check_letters, first_token
from reprotune.multiple_choice.prompts import Asked

GPT2 = GPT2Tokenizer()


def encode(text: str) -> list[int]:
    return GPT2.encode_batch([text])[0]


def test_trailing_blanks_of_a_prompt_go_to_what_follows() -> None:
    (found,) = PlainText(GPT2).encoded([Asked("Answer:  ", ["A", "is it"])])
    assert list(found.tokens.context) == encode("Answer:")
    assert found.tokens.continuations == [encode("  A"), encode("  is it")]
    assert found.prompt == "Answer:  ", "the text as it is"


def test_what_a_prompts_last_token_would_swallow_is_encoded_alone() -> None:
    (found,) = PlainText(GPT2).encoded([Asked("in", ["formation"])])
    assert encode("information") == encode("information")[:1], "one token for both"
    assert list(found.tokens.context) == encode("in")
    assert found.tokens.continuations == [encode("formation")]


def test_an_empty_prompt_is_the_token_that_begins_a_text(llama_folder: Path) -> None:
    (found,) = PlainText(GPT2).encoded([Asked("", [" A"])])
    assert list(found.tokens.context) == [50256]
    llama = load_tokenizer(llama_folder)
    found, empty = PlainText(llama).encoded([Asked("Who?", [" A"]), Asked("", [" A"])])
    assert list(found.tokens.context) == [llama.beginning_of_text, *llama.encode_batch(["Who?"])[0]]
    assert list(empty.tokens.context) == [llama.beginning_of_text] == [first_token(llama)]


@pytest.mark.parametrize("response_header", ["in_prompt", "in_response"])
@pytest.mark.parametrize("template", ["alpaca", "phi3"])
def test_a_template_gives_the_tokens_of_training(gpt2_folder: Path, template: str, response_header: str) -> None:
    formatter = load_formatter(template, read_tokenizer_files(gpt2_folder), response_header, "last")
    question, choice = "Who wrote it, <|endoftext|> or\n### Response:?\nAnswer:", "Ada <|endoftext|> Lovelace"
    record = {"id": "1", "instruction": question, "input": "", "output": choice, "category": None}
    (row,) = formatter.records([record])
    trained = GPT2.encode_rows([(row["prompt"], row["response"])])[0]
    (found,) = InTemplate(GPT2, formatter).encoded([Asked(question, [f" {choice}", " Bo"])])
    context, (first, second) = list(found.tokens.context), found.tokens.continuations
    assert context + first == trained.prompt_ids + trained.response_ids
    assert (first, second) == (encode(choice), encode("Bo")), "the response header is given, not predicted"
    assert 50256 not in context + first
    assert isinstance(formatter, InstructionFormatter)
    assert found.prompt.endswith(formatter.template.header)
    assert "\ue01b" not in found.prompt


def test_a_chat_template_gives_what_invites_the_answer(qwen_folder: Path) -> None:
    files, tokenizer = read_tokenizer_files(qwen_folder), load_tokenizer(qwen_folder)
    framing = InTemplate(tokenizer, load_formatter("chat", files, "in_prompt", "last"))
    (found,) = framing.encoded([Asked("Who?", [" Ada", " <|im_end|>"])])
    assert found.prompt == "<|im_start|>user\nWho?<|im_end|>\n<|im_start|>assistant\n"
    assert list(found.tokens.context) == tokenizer.encode_formatted([found.prompt])[0]
    end = tokenizer.encode_formatted(["<|im_end|>"])[0][0]
    assert all(end not in ids for ids in found.tokens.continuations)
    assert tokenizer.decode(found.tokens.continuations[1]) == "<|im_end|>", "as text, letter by letter"
    assert framing.alone([" Ada"]) == [found.tokens.continuations[0]]


def test_letters_of_several_tokens_are_refused(qwen_folder: Path) -> None:
    letters = [" A", " B"]
    (found,) = PlainText(GPT2).encoded([Asked("Answer:", letters)])
    check_letters(found, letters)
    (found,) = PlainText(load_tokenizer(qwen_folder)).encoded([Asked("Answer:", letters)])
    with pytest.raises(UserError, match=r"writes the answer 'A' in 2 tokens, .* remove letters from"):
        check_letters(found, letters)
