"""Greedy answers of a real model against llama.cpp's."""

from collections.abc import Callable
from pathlib import Path

import pytest
import requests

from reprotune.dataset.templates.formatter import load_formatter
from reprotune.dataset.tokenizers.document import read_tokenizer_files
from reprotune.dataset.tokenizers.load import load_tokenizer
from reprotune.generation.decoding import DecodingSettings, generate
from reprotune.model.source import fetch_base
from reprotune.model.weights import load_model
from reprotune.params.sections.fetch import BaseParams
from tests.builders.llama_cpp import needs_llama_cpp, serving

pytestmark = [pytest.mark.slow, needs_llama_cpp]

QUESTIONS = (
    "What is the capital of Norway?",
    "Rewrite in the passive voice: The chef cooked the meal.",
    "Name three primary colours.",
    "Translate into French: good morning.",
    "What is 7 times 8?",
    "Give a synonym for 'happy'.",
    "Who wrote Hamlet?",
    "Explain gravity to a child in one sentence.",
    "Write a haiku about the sea.",
    "Convert 3 kilometres to metres.",
    "What is the plural of 'mouse'?",
    "Correct the spelling: recieve.",
    "Is a whale a fish?",
    "List the planets of the solar system.",
    "Write a Python function that adds two numbers.",
    "What is the boiling point of water in Celsius?",
    "Summarise the story of Cinderella.",
    "Which is heavier, a kilogram of feathers or a kilogram of iron?",
    "What does the word 'ubiquitous' mean?",
    "Begin a letter to a landlord about a broken heater.",
)
MOST_TOKENS = 24

Answers = list[list[int]]


@pytest.fixture(scope="module")
def base(smollm_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("smollm2") / "base"
    fetch_base(BaseParams(source=str(smollm_file), revision=None), folder)
    return folder


@pytest.fixture(scope="module")
def prompts(base: Path) -> Answers:
    formatter = load_formatter("chat", read_tokenizer_files(base), "in_prompt", "all")
    unanswered = {"input": "", "output": ".", "category": None}
    rows = formatter.records([{"id": question, "instruction": question, **unanswered} for question in QUESTIONS])
    return load_tokenizer(base).encode_formatted([row["prompt"] for row in rows])


@pytest.fixture(scope="module")
def ours(base: Path, prompts: Answers) -> Answers:
    settings = DecodingSettings(MOST_TOKENS, 8, load_tokenizer(base).end_of_text)
    return [answer.token_ids for answer in generate(load_model(base), prompts, settings)]


@pytest.fixture(scope="module")
def answers_of(prompts: Answers, base: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Answers]:
    ends = load_tokenizer(base).end_of_text

    def ask(model: Path) -> Answers:
        answers = []
        with serving(model, tmp_path_factory.mktemp("log") / "log.txt") as address:
            for prompt in prompts:
                body = {"prompt": prompt, "n_predict": MOST_TOKENS, "temperature": 0, "return_tokens": True}
                reply = requests.post(f"{address}/completion", json=body, timeout=120).json()
                answers.append([token for token in reply["tokens"] if token not in ends])
        return answers

    return ask


def test_the_same_weights_give_the_same_answers(
    smollm_file: Path, ours: Answers, answers_of: Callable[[Path], Answers], tmp_path: Path
) -> None:
    from tests.builders.gguf_checkpoint import write_full_numbers  # noqa: PLC0415 - its package may be absent

    write_full_numbers(smollm_file, tmp_path / "full.gguf")
    assert answers_of(tmp_path / "full.gguf") == ours


def test_rounded_products_give_some_others(
    smollm_file: Path, ours: Answers, answers_of: Callable[[Path], Answers]
) -> None:
    """From the original file llama.cpp computes in the file's own four bits, and rounds what it multiplies by them."""
    same = [one == other for one, other in zip(ours, answers_of(smollm_file), strict=True)]
    assert sum(same) >= len(same) / 2
