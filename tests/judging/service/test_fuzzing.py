"""Whatever a service sends, it is no reply, or one that is kept as it is and whose score is in 0..100 or none."""

import json
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from reprotune.judging.questions.probabilities import expected_score, token_tail
from reprotune.judging.questions.replies import read_verdict
from reprotune.judging.service.body import parsed
from reprotune.judging.service.openai import _reply
from reprotune.judging.service.store import Reply, ReplyStore, shortened
from reprotune.judging.service.transport import RequestError
from tests.builders.fuzzing import cases, edited, edits, values

TOPS = [{"token": "60", "logprob": -0.3, "bytes": [54]}, {"token": "100", "logprob": -1.4}]
SAID = {"role": "assistant", "content": '{"reasoning": "odd \\ud83d\\ude00", "score": 60}', "refusal": None}
WHOLE: dict[str, Any] = {
    "choices": [
        {
            "message": SAID,
            "finish_reason": "stop",
            "logprobs": {"content": [{"token": "60", "logprob": -0.3, "top_logprobs": TOPS}]},
        }
    ],
    "usage": {"prompt_tokens": 500, "completion_tokens": 9},
    "model": "m",
    "system_fingerprint": "f",
}


def use(value: Any, folder: Path) -> None:
    """Do with a parsed body what a run does."""
    if not isinstance(value, dict):
        return
    try:
        reply = _reply(value)
    except RequestError:
        return
    for asks_for in ("score", "winner"):
        verdict = read_verdict(reply.text, reply.finish, asks_for)
        assert verdict.score is None or 0 <= verdict.score <= 100
        if verdict.score is not None and (weighted := expected_score(verdict.score, reply.tail)):
            assert 0 <= weighted.score <= 100
    path = folder / "replies.jsonl"
    path.unlink(missing_ok=True)
    with ReplyStore(path) as store:
        kept = store.put("k", reply, {})
    assert kept == shortened(reply)
    with ReplyStore(path) as store:
        assert store.get("k") == kept


@cases(300)
@given(changes=edits)
def test_bodies_of_any_bytes(tmp_path: Path, changes: list[tuple[float, int, bytes]]) -> None:
    try:
        value = parsed(edited(json.dumps(WHOLE).encode(), changes))
    except (ValueError, RecursionError):
        return
    use(value, tmp_path)


@cases(300)
@given(data=st.data(), value=values)
def test_bodies_of_any_values(tmp_path: Path, data: st.DataObject, value: object) -> None:
    whole = json.loads(json.dumps(WHOLE))
    places = [whole, whole["choices"][0], whole["choices"][0]["message"], whole["usage"]]
    places += [whole["choices"][0]["logprobs"], whole["choices"][0]["logprobs"]["content"][0]]
    place = data.draw(st.sampled_from(places))
    place[data.draw(st.sampled_from(sorted(place)))] = value
    try:
        found = parsed(json.dumps(whole).encode())
    except (ValueError, RecursionError):
        return
    use(found, tmp_path)


@cases(300)
@given(value=values)
def test_probabilities_of_any_values(value: object) -> None:
    entry = {"token": "60", "top_logprobs": value}
    assert token_tail([entry]) is None or isinstance(value, list | dict | str)


@cases(200)
@given(changes=edits)
def test_stores_of_any_bytes(tmp_path: Path, changes: list[tuple[float, int, bytes]]) -> None:
    path = tmp_path / "replies.jsonl"
    path.unlink(missing_ok=True)
    with ReplyStore(path) as store:
        for number in range(3):
            store.put(str(number), Reply(f"text {number}", "stop", served="m"), {"model": "m"})
    path.write_bytes(edited(path.read_bytes(), changes))
    with ReplyStore(path) as store:
        store.put("later", Reply("text", "stop"), {})
    with ReplyStore(path) as store:
        found = store.get("later")
    assert found is not None, "what came after the damage is lost"
    assert found.text == "text"
