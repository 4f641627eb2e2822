"""Asking for many verdicts: order, repair, the store, concurrency, and a service that dies."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from reprotune.errors import UserError
from reprotune.judging.questions.prompts import Item, Question, question
from reprotune.judging.service.collect import Judgement, collect_verdicts
from reprotune.judging.service.ollama import OllamaClient
from reprotune.judging.service.openai import OpenAIClient
from reprotune.judging.service.store import ReplyStore
from reprotune.judging.service.transport import Deadlines

Collect = Callable[[list[Question]], list[Judgement]]


def questions(count: int, rubric: str = "reference") -> list[Question]:
    return [question(rubric, Item("Name it.", "", f"reference {n}", f"answer {n}")) for n in range(count)]


@pytest.fixture(params=["ollama", "openai"])
def collect(
    request: pytest.FixtureRequest,
    service: Any,
    judge_params: Callable[..., Any],
    hasty: Deadlines,
    tmp_path: Path,
) -> Iterator[Collect]:
    """Each call is a fresh run: a new client, the store read from its file."""

    def run(asked: list[Question]) -> list[Judgement]:
        kind = OllamaClient if request.param == "ollama" else OpenAIClient
        client = kind(judge_params(backend=request.param), hasty)
        try:
            with ReplyStore(tmp_path / "replies.jsonl") as store:
                return collect_verdicts(client, asked, store)
        finally:
            client.close()

    yield run


def prompts(service: Any) -> list[str]:
    return [call["messages"][0]["content"] for call in service.calls]


def about(number: int) -> str:
    """What only the question about this answer contains."""
    return f"\nanswer {number}\n"


def test_every_status(collect: Collect, service: Any, steps: Any) -> None:
    script = [
        [steps.reply('{"reasoning": "ok", "score": 80}')],
        [steps.reply("I'm sorry, I cannot judge this.")],
        [steps.reply('{"reasoning": "and then', finish="length")],
        [steps.reply("eighty"), steps.reply("still eighty")],
        [steps.status(422)],
        [steps.reply("hmm"), steps.reply("Score: 60")],
    ]
    service.scripts = {about(number): own for number, own in enumerate(script)}
    found = collect(questions(6))
    assert [(j.verdict.status, j.verdict.score) for j in found] == [
        ("ok", 80),
        ("refused", None),
        ("truncated", None),
        ("unparsable", None),
        ("error", None),
        ("ok", 60),
    ]
    assert found[3].replies == ("eighty", "still eighty")
    assert found[4].error == "HTTP 422: no"
    _, repair = (call["messages"] for call in service.calls if about(5) in call["messages"][0]["content"])
    assert [message["role"] for message in repair] == ["user", "assistant", "user"]
    assert repair[1]["content"] == "hmm"


def test_a_rerun_asks_only_what_failed(collect: Collect, service: Any, steps: Any) -> None:
    service.scripts = {about(1): [steps.reply("eighty")], about(3): [steps.status(422)]}
    first = collect(questions(5))
    assert [judgement.verdict.status for judgement in first] == ["ok", "ok", "ok", "error", "ok"]
    asked = len(service.calls)
    assert asked == 5 + 1
    again = collect(questions(5))
    assert len(service.calls) == asked + 1
    assert [j.verdict.status for j in again] == ["ok"] * 5
    warm_ups = len(service.warm_ups)
    assert collect(questions(5)) == again
    assert len(service.calls) == asked + 1 and len(service.warm_ups) == warm_ups


def test_equal_questions_are_asked_once_and_order_is_kept(collect: Collect, service: Any) -> None:
    def echo(handler: Any, request: dict[str, Any]) -> None:
        number = request["messages"][0]["content"].split("\nanswer ")[1].split("\n")[0]  # as in `about`
        time.sleep(0.02 if number == "0" else 0)
        handler.send_reply(request, f'{{"score": {number}}}', "stop", None)

    service.default = echo
    asked = questions(12) + questions(12)[::-1]
    scores = [judgement.verdict.score for judgement in collect(asked)]
    assert scores == [*range(12), *reversed(range(12))]
    assert max(Counter(prompts(service)).values()) == 1


def calls_once_calm(service: Any) -> int:
    """Return how many calls there were, once those that were on their way when a run ended have arrived."""
    before = -1
    while before != len(service.calls):
        before = len(service.calls)
        time.sleep(0.3)
    return before


def test_unreachable_service_ends_the_run_and_keeps_the_replies(collect: Collect, service: Any, steps: Any) -> None:
    collect(questions(3))
    service.default = steps.status(500, "out of memory")
    with pytest.raises(UserError, match=r"10 answers in a row .*out of memory.*`dvc repro`"):
        collect(questions(40))
    assert len(service.calls) < 40 * 3
    service.default = steps.reply(steps.good)
    before = calls_once_calm(service)
    collect(questions(40))
    assert len(service.calls) == before + 37


def test_refused_key_ends_the_run_at_once(collect: Collect, service: Any, steps: Any) -> None:
    service.default = steps.status(401, "bad key")
    with pytest.raises(UserError, match="bad key"):
        collect(questions(200))
    assert len(service.calls) <= 17  # no more than those that were under way


def test_concurrency_is_used_and_bounded(
    service: Any, steps: Any, judge_params: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    under_way, most = [0], [0]

    def slow(handler: Any, request: dict[str, Any]) -> None:
        with service.lock:
            under_way[0] += 1
            most[0] = max(most[0], under_way[0])
        time.sleep(0.02)
        with service.lock:
            under_way[0] -= 1
        handler.send_reply(request, steps.good, "stop", None)

    service.default = slow
    monkeypatch.setenv("REPROTUNE_JUDGE_CONCURRENCY", "4")
    client = OpenAIClient(judge_params(backend="openai"))
    with ReplyStore(tmp_path / "replies.jsonl") as store:
        collect_verdicts(client, questions(24), store)
    client.close()
    assert most[0] == 4


def test_repeats_have_their_own_seeds_and_their_mean_counts(
    service: Any, steps: Any, judge_params: Callable[..., Any], tmp_path: Path
) -> None:
    def by_seed(handler: Any, request: dict[str, Any]) -> None:
        handler.send_reply(request, str({123: 40, 124: 70}.get(request["seed"], "no idea")), "stop", None)

    service.default = by_seed
    for repeats, verdict in ((2, ("ok", 55)), (3, ("ok", 55)), (4, ("unparsable", None))):
        client = OpenAIClient(judge_params(backend="openai"))
        with ReplyStore(tmp_path / "replies.jsonl") as store:
            (judgement,) = collect_verdicts(client, questions(1, "chapter"), store, repeats)
        client.close()
        assert (judgement.verdict.status, judgement.verdict.score) == verdict
        assert judgement.scores == (40, 70)
    assert Counter(call["seed"] for call in service.calls) == {123: 1, 124: 1, 125: 2, 126: 2}
