"""Jobs that come and go, against `generate`."""

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from reprotune.chat.answers import Decoding, row_of
from reprotune.chat.engine import BusyError, Engine, Job, TokenScore, check_prompt, prompt_scores
from reprotune.chat.models import Model
from reprotune.errors import UserError
from reprotune.generation.decoding import DecodingSettings, generate
from reprotune.generation.slots import Sampling
from reprotune.model.network import Network
from tests.builders.chat_project import CONTEXT

GREEDY = Sampling()
SAMPLED = Sampling(temperature=1.5, top_k=50, top_p=0.9)


class Heard:
    """Keeps what it is told; wants `wanted` tokens at most, and waits before each of them if told to."""

    def __init__(self, wanted: int | None = None) -> None:
        self.tokens: list[int] = []
        self.scores: list[TokenScore | None] = []
        self.prompt: list[TokenScore | None] = []
        self.error: Exception | None = None
        self.reason: str | None = None
        self.wanted = wanted
        self.go_on = threading.Event()
        self.go_on.set()
        self.done = threading.Event()

    def prompt_scored(self, scores: list[TokenScore | None]) -> None:
        self.prompt = scores

    def token(self, token: int, score: TokenScore | None) -> bool:
        self.go_on.wait(20)
        self.tokens.append(token)
        self.scores.append(score)
        return self.wanted is None or len(self.tokens) < self.wanted

    def ended(self, reason: str) -> None:
        self.reason = reason
        self.done.set()

    def failed(self, error: Exception) -> None:
        self.error = error
        self.done.set()


@pytest.fixture
def engine(model: Model) -> Iterator[Engine]:
    engine = Engine({"finetuned": model.network}, slots=3, most_waiting=100)
    yield engine
    engine.close()


def asked(model: Model, prompt: list[int], heard: Heard, tokens: int = 20, **how: Any) -> Job:
    settings = Decoding(tokens, how.pop("sampling", GREEDY), how.pop("seed", 5))
    return Job(row_of(model, prompt, settings), heard, **how)


def prompts(count: int) -> list[list[int]]:
    generator = torch.Generator().manual_seed(1)
    lengths = torch.randint(1, 60, (count,), generator=generator).tolist()
    return [torch.randint(0, 50_000, (length,), generator=generator).tolist() for length in lengths]


@pytest.mark.parametrize("sampling", [GREEDY, SAMPLED])
def test_answers_are_those_of_generate(model: Model, engine: Engine, sampling: Sampling) -> None:
    """Of many jobs through few slots, submitted bit by bit, greedy and sampled ones mixed."""
    asked_for = prompts(20)
    how = DecodingSettings(20, 1, model.tokenizer.end_of_text, *sampling, seed=5)
    expected = [generate(model.network, [prompt], how)[0] for prompt in asked_for]
    heard = [Heard() for _ in asked_for]
    for number, (prompt, one) in enumerate(zip(asked_for, heard, strict=True)):
        engine.submit("finetuned", asked(model, prompt, one, sampling=sampling))
        engine.submit("finetuned", asked(model, prompt, Heard(), tokens=7, sampling=SAMPLED, seed=number))
        time.sleep(0.002 * (number % 3))
    for one in heard:
        assert one.done.wait(60)
    assert [one.tokens for one in heard] == [answer.token_ids for answer in expected]
    assert [one.reason for one in heard] == [answer.finish_reason for answer in expected]
    assert len({tuple(one.tokens) for one in heard}) > 10


def test_an_opening_is_read_once(model: Model, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of jobs that come one after another; the answers stay those of `generate`."""
    opening, tokens = [101, 102, 103] * 8, 6
    asked_for = [[*opening, *rest] for rest in prompts(20)]
    how = DecodingSettings(tokens, 1, model.tokenizer.end_of_text)
    expected = [generate(model.network, [prompt], how)[0].token_ids for prompt in asked_for]
    read: list[int] = []
    forward = Network.forward
    monkeypatch.setattr(
        Network, "forward", lambda self, ids, *rest: read.append(ids.numel()) or forward(self, ids, *rest)
    )
    found = []
    for prompt in asked_for:
        heard = Heard()
        engine.submit("finetuned", asked(model, prompt, heard, tokens=tokens))
        assert heard.done.wait(60)
        found.append(heard.tokens)
    assert found == expected
    assert sum(read) <= sum(len(prompt) + tokens - 1 for prompt in asked_for) - (len(asked_for) - 1) * len(opening)


def test_the_cache_grows_under_a_running_answer(model: Model, engine: Engine) -> None:
    """A row that needs more than the first capacity joins while another is half written."""
    short, long = prompts(2)[0], [17] * (CONTEXT - 10)
    how = DecodingSettings(CONTEXT, 1, model.tokenizer.end_of_text)
    first, second = Heard(), Heard()
    first.go_on.clear()
    engine.submit("finetuned", asked(model, short, first, tokens=30))
    engine.submit("finetuned", asked(model, long, second, tokens=CONTEXT))
    first.go_on.set()
    assert first.done.wait(60)
    assert second.done.wait(60)
    assert first.tokens == generate(model.network, [short], how)[0].token_ids[:30]
    assert second.tokens == generate(model.network, [long], how)[0].token_ids


def test_a_cancelled_job_frees_its_slot_within_a_step(model: Model, engine: Engine) -> None:
    heard = [Heard() for _ in range(4)]
    jobs = [asked(model, [1, 2, 3], one, tokens=200) for one in heard[:3]]
    heard[0].go_on.clear()  # the thread of the model stands still at the first token
    for job in jobs:
        engine.submit("finetuned", job)
    engine.submit("finetuned", asked(model, [4], heard[3], tokens=2))
    time.sleep(0.2)
    engine.cancel(jobs[0])
    heard[0].go_on.set()
    assert heard[3].done.wait(60)
    assert heard[3].tokens == generate(model.network, [[4]], DecodingSettings(2, 1, (-1,)))[0].token_ids
    assert heard[0].reason == "stopped"
    assert len(heard[0].tokens) <= 2
    assert not heard[1].done.is_set() or len(heard[1].tokens) == 200


def test_a_job_is_cancelled_while_it_waits(model: Model, engine: Engine) -> None:
    running, waiting = [Heard() for _ in range(3)], Heard()
    running[0].go_on.clear()
    for one in running:
        engine.submit("finetuned", asked(model, [1, 2], one, tokens=50))
    job = asked(model, [9], waiting)
    engine.submit("finetuned", job)
    engine.cancel(job)
    running[0].go_on.set()
    assert all(one.done.wait(60) for one in running)
    assert not waiting.tokens
    assert engine.load() == {"finetuned": (0, 0)}


def test_first_come_first_served(model: Model) -> None:
    engine = Engine({"finetuned": model.network}, slots=1, most_waiting=20)
    order: list[int] = []

    class Numbered(Heard):
        def ended(self, reason: str) -> None:
            order.append(self.number)
            super().ended(reason)

    heard = [Numbered() for _ in range(8)]
    for number, one in enumerate(heard):
        one.number = number  # type: ignore[attr-defined]
        engine.submit("finetuned", asked(model, [number + 1] * (1 + number % 3), one, tokens=3))
    assert all(one.done.wait(60) for one in heard)
    engine.close()
    assert order == sorted(order)


def test_too_many_are_turned_away(model: Model) -> None:
    engine = Engine({"finetuned": model.network}, slots=1, most_waiting=2)
    first = Heard()
    first.go_on.clear()
    engine.submit("finetuned", asked(model, [1], first))
    deadline = time.monotonic() + 20
    while engine.load()["finetuned"] != (1, 0) and time.monotonic() < deadline:
        time.sleep(0.01)
    later = [Heard(), Heard()]
    for one in later:
        engine.submit("finetuned", asked(model, [2], one))
    with pytest.raises(BusyError):
        engine.submit("finetuned", asked(model, [3], Heard()))
    first.go_on.set()
    assert all(one.done.wait(60) for one in later)
    engine.close()


def test_a_listener_that_has_enough_ends_its_job(model: Model, engine: Engine) -> None:
    heard = Heard(wanted=4)
    engine.submit("finetuned", asked(model, [1, 2, 3], heard, tokens=100))
    assert heard.done.wait(60)
    assert (heard.reason, len(heard.tokens)) == ("stopped", 4)


def test_an_error_of_the_model_ends_its_jobs_and_no_more(
    model: Model, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken, next_one = Heard(), Heard()

    def fail(*arguments: object) -> None:
        raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")

    with monkeypatch.context() as patch:
        patch.setattr(Network, "logits", fail)
        engine.submit("finetuned", asked(model, [1, 2, 3], broken))
        assert broken.done.wait(60)
    assert isinstance(broken.error, RuntimeError)
    engine.submit("finetuned", asked(model, [1, 2, 3], next_one, tokens=3))
    assert next_one.done.wait(60)
    assert next_one.reason == "length"


@torch.inference_mode()
def test_scores_are_those_of_the_whole_text(model: Model, engine: Engine) -> None:
    """Against one pass over prompt and answer, whose softmax is written out."""
    prompt = prompts(3)[2]
    heard = Heard()
    engine.submit("finetuned", asked(model, prompt, heard, tokens=6, scores=3, scores_prompt=True))
    assert heard.done.wait(60)
    text = prompt + heard.tokens
    logits = model.network.logits(model.network(torch.tensor([text])))[0].double()
    logprobs = logits - logits.exp().sum(dim=1, keepdim=True).log()
    scores = heard.prompt + heard.scores
    assert scores[0] is None
    for place, score in enumerate(scores[1:]):
        assert score is not None
        assert score.token == text[place + 1]
        assert score.logprob == pytest.approx(logprobs[place, score.token].item(), abs=1e-4)
        top = logprobs[place].topk(3)
        assert [token for token, _ in score.top] == top.indices.tolist()
    assert prompt_scores(model.network, [7], 1) == [None]


@pytest.mark.parametrize(("length", "said"), [(0, "is empty"), (CONTEXT, f"has {CONTEXT} tokens")])
def test_prompts_that_leave_no_room(length: int, said: str) -> None:
    with pytest.raises(UserError, match=said):
        check_prompt([1] * length, CONTEXT, "shorten it")
    check_prompt([1] * (CONTEXT - 1), CONTEXT, "shorten it")
