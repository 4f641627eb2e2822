"""Items put to a model: what gives way where a prompt is too long, what is kept of each, and what is refused."""

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from reprotune.dataset.tokenizers.gpt2 import GPT2Tokenizer
from reprotune.dataset.tokenizers.load import load_tokenizer
from reprotune.errors import UserError
from reprotune.model.config import ModelConfig
from reprotune.model.network import Network
from reprotune.multiple_choice.asking import ask, check_not_constant
from reprotune.multiple_choice.framing import PlainText
from reprotune.multiple_choice.prompts import Wording
from reprotune.multiple_choice.sampling import choose
from tests.builders.items import item
from tests.multiple_choice.conftest import make_network

GPT2 = GPT2Tokenizer()
CONTEXT = 64


@pytest.fixture(scope="module")
def short() -> Network:
    """A network with a context of 64 tokens."""
    return make_network(ModelConfig(n_layer=1, n_head=2, n_embd=8, n_positions=CONTEXT))


def answers(
    model: Network, rows: list[dict[str, Any]], formulation: str = "letters", shots: int = 0, drop: bool = False
) -> list[dict[str, Any]]:
    return ask(model, GPT2, PlainText(GPT2), Wording(formulation, False), choose(rows, shots, None, 0), drop, "items")


def with_shots(words: int) -> list[dict[str, Any]]:
    shots = [item(f"shot {number}" + " word" * words, ["a", "b"], role="shot") for number in range(5)]
    return [*shots, item("Who?", ["Ada", "Bo"])]


def test_what_is_kept_of_an_item(short: Network) -> None:
    row = item("Who?", ["Ada Lovelace", "Bo"])
    (letters,) = answers(short, [row])
    prompt = "Who?\nA. Ada Lovelace\nB. Bo\nAnswer:"
    assert letters["prompt_sha256"] == hashlib.sha256(prompt.encode()).hexdigest()
    assert letters["prompt_tokens"] == len(GPT2.encode_batch([prompt])[0])
    assert (letters["cut_tokens"], letters["shots"], letters["choice_tokens"]) == (0, 0, [1, 1])
    assert letters["unconditional"] is None
    (cloze,) = answers(short, [row], "cloze")
    assert cloze["choice_tokens"] == [len(ids) for ids in GPT2.encode_batch([" Ada Lovelace", " Bo"])]
    assert len(cloze["unconditional"]) == len(cloze["logprobs"]) == 2
    assert all(score < 0 for score in (*cloze["unconditional"], *cloze["logprobs"]))


def test_last_examples_are_dropped_until_the_prompt_fits(short: Network) -> None:
    whole = answers(make_network(ModelConfig(n_layer=1, n_head=2, n_embd=8)), with_shots(4), shots=5)[0]
    size = whole["prompt_tokens"]
    assert size > CONTEXT
    (dropped,) = answers(short, with_shots(4), shots=5, drop=True)
    assert 0 < dropped["shots"] < 5
    assert dropped["cut_tokens"] == 0
    assert dropped["prompt_tokens"] <= CONTEXT
    fewer = answers(short, with_shots(4), shots=dropped["shots"])
    assert fewer[0] == dropped, "the first examples stay"
    (cut,) = answers(short, with_shots(4), shots=5)
    assert (cut["shots"], cut["cut_tokens"], cut["prompt_tokens"]) == (5, size - CONTEXT, CONTEXT)
    assert cut["prompt_sha256"] == whole["prompt_sha256"], "of the prompt before anything was cut"


def test_without_examples_left_the_beginning_gives_way(short: Network) -> None:
    rows = [*with_shots(4)[:5], item("Who" + " word" * CONTEXT + "?", ["Ada", "Bo"])]
    (dropped,) = answers(short, rows, shots=5, drop=True)
    assert dropped["shots"] == 0
    assert dropped["cut_tokens"] > 0


def test_a_prompt_is_cut_for_each_choice_by_as_much_as_it_needs(short: Network) -> None:
    """The short choice reads what it would read beside other short ones."""
    question = "Who" + " word" * CONTEXT + "?"
    both = answers(short, [item(question, ["Ada", "Bo" + " word" * 20])], "cloze")[0]
    alone = answers(short, [item(question, ["Ada", "Bo"])], "cloze")[0]
    assert both["logprobs"][0] == pytest.approx(alone["logprobs"][0], abs=1e-4)
    assert both["cut_tokens"] == alone["cut_tokens"] + 20


def test_a_choice_that_no_context_holds_is_refused(short: Network) -> None:
    row = item("Who?", ["Ada", "word" * CONTEXT * 2], source_row=3)
    with pytest.raises(UserError, match=r"choice 2 of item .* \(row 3 of the source\) has \d+ tokens, but"):
        answers(short, [row], "cloze")


def test_predictions_that_are_no_numbers_are_refused(short: Network) -> None:
    broken = make_network(replace(short.config))
    broken.ln_f.weight.data.fill_(float("inf"))
    with pytest.raises(UserError, match=r"predictions for item .* are not numbers: set benchmark.precision"):
        answers(broken, [item("Who?", ["Ada", "Bo"])])


def test_a_run_that_always_gives_one_choice_is_refused() -> None:
    def check(first: int, second: int, formulation: str = "letters", answers: list[int] | None = None) -> None:
        rows = [{"logprobs": [-1.0, -1.0]}] * first + [{"logprobs": [-2.0, -1.0]}] * second
        check_not_constant(rows, answers or [place % 2 for place in range(len(rows))], formulation, "data/base")

    with pytest.raises(UserError, match=r"data/base answers 50 of 50 items with the letter A, .* remove letters"):
        check(50, 0)
    with pytest.raises(UserError, match=r"answers 200 of 201 items with choice 2, .* remove cloze"):
        check(1, 200, "cloze")
    check(49, 0)
    check(99, 1)
    check(0, 0)
    check(60, 0, "cloze", [0] * 60)  # a benchmark whose first choice is always the right one


def test_repeated_choices_have_one_score_without_a_prompt(short: Network) -> None:
    rows = [item(f"Who is {number}?", ["Ada", f"number {number}"]) for number in range(30)]
    found = answers(short, rows, "cloze")
    assert len({row["unconditional"][0] for row in found}) == 1
    assert len({row["unconditional"][1] for row in found}) == 30


def test_a_model_with_a_beginning_of_text(llama_folder: Path) -> None:
    tokenizer = load_tokenizer(llama_folder)
    model = make_network(ModelConfig(n_layer=1, n_head=2, n_embd=8, vocab_size=tokenizer.vocabulary_size))
    chosen = choose([item("Who?", ["Ada", "Bo"])], 0, None, 0)
    (row,) = ask(model, tokenizer, PlainText(tokenizer), Wording("cloze", False), chosen, False, "items")
    assert row["prompt_tokens"] == 1 + len(tokenizer.encode_batch(["Question: Who?\nAnswer:"])[0])
