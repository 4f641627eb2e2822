"""Against lm-eval: the same prompts byte for byte, the same log-probabilities, predictions and accuracies."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lm_eval.api.instance import Instance
from lm_eval.api.model import LM
from lm_eval.models.huggingface import HFLM
from ruamel.yaml import YAML
from transformers import PreTrainedTokenizerFast

from reprotune.dataset.tokenizers.encoding import Tokenizer
from reprotune.dataset.tokenizers.gpt2 import GPT2Tokenizer
from reprotune.dataset.tokenizers.gpt2_files import END_OF_TEXT_NAME
from reprotune.dataset.tokenizers.load import load_tokenizer
from reprotune.model.config import ModelConfig
from reprotune.model.network import Network
from reprotune.model.weights import load_model, save_model
from reprotune.multiple_choice.asking import ask
from reprotune.multiple_choice.framing import PlainText
from reprotune.multiple_choice.prompts import Wording
from reprotune.multiple_choice.retention import score_documents, windows
from reprotune.multiple_choice.sampling import choose
from tests.builders.items import item
from tests.multiple_choice.conftest import FORMULATIONS, Evaluate, make_network

ROOT = Path(__file__).resolve().parents[2]
Items = dict[str, list[dict[str, Any]]]

CASES = [(formulation, shots) for formulation in FORMULATIONS for shots in (0, 5)]


class Constant(LM):
    """Gives every continuation the same log-probability."""

    def loglikelihood(self, requests: list[Instance]) -> list[tuple[float, bool]]:
        return [(-1.0, False) for _ in requests]

    def loglikelihood_rolling(self, requests: list[Instance]) -> list[float]:
        raise NotImplementedError

    def generate_until(self, requests: list[Instance]) -> list[str]:
        raise NotImplementedError


def answers(
    model: Network, tokenizer: Tokenizer, rows: list[dict[str, Any]], formulation: str, shots: int, limit: int | None
) -> list[dict[str, Any]]:
    chosen = choose(rows, shots, None, 0)
    chosen = chosen._replace(items=chosen.items[:limit])
    return ask(model, tokenizer, PlainText(tokenizer), Wording(formulation, False), chosen, False, "items")


def check_alike(evaluated: Any, ours: list[dict[str, Any]], items: list[dict[str, Any]], exact: bool = True) -> None:
    """Compare log-probabilities to 1e-4, and predictions and accuracy to the last digit."""
    correct = []
    for sample, row, asked in zip(evaluated.samples, ours, items, strict=True):
        theirs = [response[0][0] for response in sample["resps"]]
        np.testing.assert_allclose(row["logprobs"], theirs, atol=1e-4, rtol=1e-5)
        predicted = row["logprobs"].index(max(row["logprobs"]))
        assert predicted == int(np.argmax(theirs))
        correct.append(predicted == asked["answer"])
        assert sample["acc"] == correct[-1]
    assert evaluated.results["acc,none"] == np.mean(correct)


def only_items(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [row for row in rows if row["role"] == "item"]


@pytest.mark.parametrize(("formulation", "shots"), CASES)
def test_all_prompts_are_lm_evals_byte_for_byte(evaluate: Evaluate, mmlu: Items, formulation: str, shots: int) -> None:
    wording = Wording(formulation, False)
    compared = 0
    for subject, evaluated in evaluate(Constant(), mmlu, formulation, shots).items():
        chosen = choose(mmlu[subject], shots, None, 0)
        for sample, row in zip(evaluated.samples, chosen.items, strict=True):
            prompt, continuations = wording.asked(row, chosen.shots[subject])
            assert [tuple(arguments) for arguments in sample["arguments"]] == [(prompt, text) for text in continuations]
            compared += 1
    assert compared == 436


def test_unusual_texts_give_lm_evals_prompts_too(evaluate: Evaluate) -> None:
    texts = ["None", ' "quoted", with comma', "two\nlines", "  blanks before", "naïve 漢字 😀", "it's {{ 7 * 7 }} %"]
    rows = [
        item(f" {text} ?\n", [text, "b", f"{text} ", "None"], 1, task="mmlu", subject="formal_logic", source_row=place)
        for place, text in enumerate(texts)
    ]
    rows = [{**row, "role": "shot"} for row in rows] + rows
    for formulation in FORMULATIONS:
        evaluated = evaluate(Constant(), {"formal_logic": rows}, formulation, 5)["formal_logic"]
        chosen = choose(rows, 5, None, 0)
        for sample, row in zip(evaluated.samples, chosen.items, strict=True):
            prompt, continuations = Wording(formulation, False).asked(row, chosen.shots["formal_logic"])
            assert [tuple(pair) for pair in sample["arguments"]] == [(prompt, text) for text in continuations]


@pytest.mark.parametrize("formulation", FORMULATIONS)
def test_the_description_of_every_subject_is_lm_evals(formulation: str) -> None:
    folder, template, name = FORMULATIONS[formulation]
    files = [path for path in folder.glob(name.format("*")) if path.name != template]
    assert len(files) == 57
    for path in files:
        theirs = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
        prompt, _ = Wording(formulation, False).asked(
            item("?", "ABCD", task="mmlu", subject=theirs["dataset_name"]), ()
        )
        assert prompt.startswith(theirs["description"])


def test_ties_go_to_the_first_choice(evaluate: Evaluate, mmlu: Items) -> None:
    evaluated = evaluate(Constant(), {"world_religions": mmlu["world_religions"]}, "letters", 0)["world_religions"]
    share_of_a = np.mean([row["answer"] == 0 for row in only_items(mmlu["world_religions"])])
    assert evaluated.results["acc,none"] == share_of_a


def hub_tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    return PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"), eos_token=END_OF_TEXT_NAME)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory, small_tokenizer: Path) -> tuple[Path, HFLM]:
    """A GPT-2-shaped checkpoint with a small vocabulary and a context that many prompts exceed, and lm-eval's model."""
    folder = tmp_path_factory.mktemp("exported")
    config = ModelConfig(n_layer=2, n_head=2, n_embd=16, n_positions=320, vocab_size=500)
    save_model(make_network(replace(config, begin_of_text=0, end_of_text=(0,))), folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).write_bytes((small_tokenizer / name).read_bytes())
    return folder, HFLM(str(folder), tokenizer=hub_tokenizer(folder), device="cpu")


@pytest.mark.parametrize(("formulation", "shots", "limit"), [("letters", 0, 40), ("cloze", 0, 12), ("letters", 5, 8)])
def test_predictions_equal_those_of_lm_evals_own_model(
    evaluate: Evaluate,
    mmlu: Items,
    exported: tuple[Path, HFLM],
    formulation: str,
    shots: int,
    limit: int,
) -> None:
    """Also where a prompt exceeds the context, as all of European history do here."""
    folder, theirs = exported
    model, tokenizer = load_model(folder), load_tokenizer(folder)
    evaluated = evaluate(theirs, mmlu, formulation, shots, limit)
    cut = 0
    for subject, rows in mmlu.items():
        ours = answers(model, tokenizer, rows, formulation, shots, limit)
        check_alike(evaluated[subject], ours, only_items(rows)[:limit])
        cut += sum(row["cut_tokens"] > 0 for row in ours)
    assert cut >= min(limit, 8)


def test_the_embedded_base_answers_as_in_lm_eval(evaluate: Evaluate, mmlu: Items, gpt2_folder: Path) -> None:
    folder = ROOT / "data/embedded/base"
    tokenizer = GPT2Tokenizer()
    theirs = HFLM(str(folder), tokenizer=hub_tokenizer(gpt2_folder), device="cpu", dtype="float32")
    some = {"world_religions": mmlu["world_religions"]}
    for formulation, limit in (("letters", 6), ("cloze", 2)):
        evaluated = evaluate(theirs, some, formulation, 0, limit)
        ours = answers(load_model(folder), tokenizer, some["world_religions"], formulation, 0, limit)
        check_alike(evaluated["world_religions"], ours, only_items(some["world_religions"])[:limit])


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory, gpt2_folder: Path) -> tuple[Network, HFLM]:
    """Our model and lm-eval's with GPT-2's tokenizer and its context of 1,024."""
    folder = tmp_path_factory.mktemp("tiny")
    save_model(make_network(ModelConfig(n_layer=1, n_head=2, n_embd=8)), folder)
    return load_model(folder), HFLM(str(folder), tokenizer=hub_tokenizer(gpt2_folder), device="cpu")


@pytest.mark.parametrize("length", [1023, 1024, 1025])
def test_the_edge_of_the_context(tiny: tuple[Network, HFLM], length: int) -> None:
    """A prompt of as many tokens as the context is whole with a letter, and one more is cut by one."""
    model, theirs = tiny
    tokenizer = GPT2Tokenizer()
    texts = ["A", "B", "several words"]
    room = length - len(tokenizer.encode_batch(["Question: \nAnswer:"])[0])
    question = "first" + " word" * (room - 1)
    while len(tokenizer.encode_batch([f"Question: {question}\nAnswer:"])[0]) < length:
        question += " word"
    row = item(question, texts)
    (ours,) = answers(model, tokenizer, [row], "cloze", 0, None)
    prompt, continuations = Wording("cloze", False).asked(row, ())
    assert ours["prompt_tokens"] + ours["cut_tokens"] == length
    assert ours["choice_tokens"] == [1, 1, 2]
    assert ours["cut_tokens"] == max(0, length + 2 - 1025), "of the longest choice"
    requests = [Instance("loglikelihood", {}, (prompt, text), place) for place, text in enumerate(continuations)]
    expected = [score for score, _ in theirs.loglikelihood(requests, disable_tqdm=True)]
    np.testing.assert_allclose(ours["logprobs"], expected, atol=1e-4, rtol=1e-5)
    alone = [Instance("loglikelihood", {}, ("", text), place) for place, text in enumerate(continuations)]
    expected = [score for score, _ in theirs.loglikelihood(alone, disable_tqdm=True)]
    np.testing.assert_allclose(ours["unconditional"], expected, atol=1e-4, rtol=1e-5)


def test_documents_longer_than_the_context_are_scored_in_lm_evals_windows(
    exported: tuple[Path, HFLM],
) -> None:
    folder, theirs = exported
    tokenizer = load_tokenizer(folder)
    documents = ["A short one.", "word " * 90 + "naïve 漢字", "Nothing lasts. " * 200]
    ours = score_documents(load_model(folder), tokenizer, documents, "text")
    lengths = [len(ids) for ids in tokenizer.encode_batch(documents)]
    assert [row["tokens"] for row in ours] == lengths
    assert max(lengths) > 2 * 320
    requests = [Instance("loglikelihood_rolling", {}, (text,), place) for place, text in enumerate(documents)]
    expected = theirs.loglikelihood_rolling(requests, disable_tqdm=True)
    np.testing.assert_allclose([-row["nats"] for row in ours], expected, rtol=1e-5)
    assert [len(list(windows(0, list(range(count)), 320))) for count in (320, 321)] == [1, 2]
