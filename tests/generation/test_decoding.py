"""Decoding against one-by-one decoding without a cache and against transformers' `generate`."""

import copy
import random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import GPT2LMHeadModel

from reprotune.compute.device import Compute
from reprotune.errors import UserError
from reprotune.generation import decoding
from reprotune.generation.decoding import DecodingSettings, Generated, answer_text, generate
from reprotune.model.config import ModelConfig
from reprotune.model.inference import prepare_for_inference
from reprotune.model.network import Network

END = 7


def random_prompts(count: int, longest: int, seed: int = 0) -> list[list[int]]:
    draw = random.Random(seed)
    return [[draw.randrange(61) for _ in range(draw.randint(1, longest))] for _ in range(count)]


def greedy(batch_size: int, max_new_tokens: int = 12) -> DecodingSettings:
    return DecodingSettings(max_new_tokens=max_new_tokens, batch_size=batch_size, end_of_text=(END,))


@torch.inference_mode()
def decode_alone(model: Network, prompt: list[int], max_new_tokens: int) -> Generated:
    """The plainest decoder there is: one row, everything computed anew for each token."""
    answer: list[int] = []
    if len(prompt) >= model.config.n_positions:
        return Generated([], "no_room")
    while len(answer) < max_new_tokens and len(prompt) + len(answer) < model.config.n_positions:
        token = model.logits(model(torch.tensor([prompt + answer])))[0, -1].argmax().item()
        if token == END:
            return Generated(answer, "eos")
        answer.append(int(token))
    return Generated(answer, "length")


def test_batched_equals_alone(twins: tuple[Network, GPT2LMHeadModel]) -> None:
    """Hundreds of rows from 1 token to more than the context, so that every way to finish occurs."""
    model, _ = twins
    prompts = random_prompts(250, longest=model.config.n_positions + 4)
    answers = generate(model, prompts, greedy(batch_size=16))
    assert answers == [decode_alone(model, prompt, 12) for prompt in prompts]
    assert {answer.finish_reason for answer in answers} == {"eos", "length", "no_room"}
    assert len({tuple(answer.token_ids) for answer in answers}) > 100


@pytest.mark.parametrize("batch_size", [1, 5, 64])
def test_a_shared_opening_changes_nothing(model: Network, batch_size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Prompts that begin alike, one of them nothing but the opening, decode as one by one; it is read once."""
    opening = random_prompts(1, longest=20, seed=3)[0] * 12
    prompts = [opening[:12] + rest for rest in [[], *random_prompts(40, longest=20)]]
    computed: list[int] = []
    forward = Network.forward
    monkeypatch.setattr(
        Network, "forward", lambda self, ids, *rest: computed.append(ids.numel()) or forward(self, ids, *rest)
    )
    answers = generate(model, prompts, greedy(batch_size, max_new_tokens=1))
    assert sum(computed) <= sum(map(len, prompts)) - (len(prompts) - 1) * 11
    monkeypatch.undo()
    assert answers == [decode_alone(model, prompt, 1) for prompt in prompts]
    assert generate(model, prompts, greedy(batch_size)) == [decode_alone(model, prompt, 12) for prompt in prompts]


def test_equals_transformers(twins: tuple[Network, GPT2LMHeadModel]) -> None:
    model, theirs = twins
    longest = model.config.n_positions - 12
    prompts = random_prompts(100, longest)
    input_ids = torch.tensor([[END] * (longest - len(prompt)) + prompt for prompt in prompts])
    mask = torch.tensor([[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in prompts])
    rows = theirs.generate(
        input_ids, attention_mask=mask, max_new_tokens=12, do_sample=False, eos_token_id=END, pad_token_id=END
    )[:, longest:].tolist()
    expected = [row[: row.index(END)] if END in row else row for row in rows]
    assert [answer.token_ids for answer in generate(model, prompts, greedy(batch_size=9))] == expected


@pytest.mark.parametrize("batch_size", [1, 2, 3, 5, 64, 1000])
def test_batch_size_changes_nothing(model: Network, batch_size: int) -> None:
    prompts = random_prompts(60, longest=50)
    assert generate(model, prompts, greedy(batch_size)) == generate(model, prompts, greedy(batch_size=7))


def test_prefill_limit_changes_nothing(model: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    prompts = random_prompts(40, longest=50)
    expected = generate(model, prompts, greedy(batch_size=16))
    monkeypatch.setattr(decoding, "PREFILL_TOKENS", 30)
    assert generate(model, prompts, greedy(batch_size=16)) == expected


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.permutations(range(20)), st.integers(1, 8), st.sampled_from([0, 1.5]))
def test_order_and_company_change_nothing(order: list[int], batch_size: int, temperature: float) -> None:
    model = Network(decoding_config())
    model.initialize(torch.Generator().manual_seed(3))
    prompts = random_prompts(20, longest=12)
    how = DecodingSettings(
        max_new_tokens=5,
        batch_size=batch_size,
        end_of_text=(END,),
        temperature=temperature,
        top_k=20,
        top_p=0.9,
        seed=1,
    )
    names = [f"row-{index}" for index in range(20)]
    straight = generate(model, prompts, how, names)
    shuffled = generate(model, [prompts[index] for index in order[:13]], how, [names[index] for index in order[:13]])
    assert shuffled == [straight[index] for index in order[:13]]


def decoding_config() -> ModelConfig:
    return ModelConfig(n_layer=1, n_head=2, n_embd=8, n_positions=16, vocab_size=61)


def test_context_and_token_limits(model: Network) -> None:
    """With 64 positions, a prompt of 63 leaves one token, 64 and more leave none."""
    never = DecodingSettings(max_new_tokens=3, batch_size=4, end_of_text=(-1,))
    answers = generate(model, [[1] * 60, [1] * 62, [1] * 63, [1] * 64, [1] * 65, [1]], never)
    assert [len(answer.token_ids) for answer in answers] == [3, 2, 1, 0, 0, 3]
    assert [answer.finish_reason for answer in answers] == ["length"] * 3 + ["no_room"] * 2 + ["length"]


def test_end_of_text_as_first_token_gives_an_empty_answer(model: Network) -> None:
    once = DecodingSettings(max_new_tokens=1, batch_size=1, end_of_text=(-1,))
    first = generate(model, [[1, 2]], once)[0].token_ids[0]
    ends = DecodingSettings(max_new_tokens=5, batch_size=1, end_of_text=(-1, first))
    assert generate(model, [[1, 2]], ends) == [Generated([], "eos")]


def test_nothing_to_do_and_nothing_to_go_on(model: Network) -> None:
    assert generate(model, [], greedy(4)) == []
    assert generate(model, [[1] * 64], greedy(4)) == [Generated([], "no_room")]
    with pytest.raises(UserError, match="prompt of row b is empty"):
        generate(model, [[1], []], greedy(4), ["a", "b"])


def test_each_answer_is_announced(model: Network) -> None:
    calls: list[None] = []
    prompts = random_prompts(30, longest=70)
    generate(model, prompts, greedy(4), on_finished=lambda: calls.append(None))
    assert len(calls) == 30


def test_samples_follow_the_seed(model: Network) -> None:
    prompts = [[1, 2, 3]] * 20

    def sample(seed: int, batch_size: int) -> list[Generated]:
        how = DecodingSettings(8, batch_size, (END,), temperature=1.0, seed=seed)
        return generate(model, prompts, how)

    assert sample(1, 5) == sample(1, 20)
    assert sample(1, 5) != sample(2, 5)
    assert len({tuple(answer.token_ids) for answer in sample(1, 5)}) > 10, "equal prompts need streams of their own"


def test_top_1_sampling_is_greedy(model: Network) -> None:
    prompts = random_prompts(20, longest=20)
    how = DecodingSettings(12, 8, (END,), temperature=0.7, top_k=1)
    assert generate(model, prompts, how) == generate(model, prompts, greedy(8))


def test_bfloat16_mostly_agrees(twins: tuple[Network, GPT2LMHeadModel]) -> None:
    model = Network(twins[0].config)
    model.load_state_dict(twins[0].state_dict())
    prompts = random_prompts(60, longest=30)
    expected = [answer.token_ids[:1] for answer in generate(model, prompts, greedy(16))]
    prepare_for_inference(model, Compute(torch.device("cpu"), torch.bfloat16))
    answers = [answer.token_ids[:1] for answer in generate(model, prompts, greedy(16))]
    assert sum(a == b for a, b in zip(answers, expected, strict=True)) >= 54


def test_blocked_matrices_answer_as_plain_ones(twins: tuple[Network, GPT2LMHeadModel]) -> None:
    blocked = copy.deepcopy(twins[0])
    prepare_for_inference(blocked, Compute(torch.device("cpu"), torch.float32))
    prompts = random_prompts(40, longest=40)
    assert generate(blocked, prompts, greedy(8)) == generate(twins[0], prompts, greedy(8))


@pytest.mark.parametrize(
    ("decoded", "header", "expected"),
    [
        (" The answer.\n", "", "The answer."),
        ("\n\n### Response:\nThe answer.", "\n\n### Response:\n", "The answer."),
        ("### Response:\nOne.\n\n### Response:\nTwo.", "\n\n### Response:\n", "One.\n\n\nTwo."),
        ("See ### Response: above", "", "See ### Response: above"),
        (".*", "a.*", ".*"),
        ("", "\n\n### Response:\n", ""),
    ],
)
def test_answer_text(decoded: str, header: str, expected: str) -> None:
    assert answer_text(decoded, header) == expected
