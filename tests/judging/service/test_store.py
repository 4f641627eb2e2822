"""The reply store: durable, append-only, keyed by everything that shapes a reply."""

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from reprotune.judging.questions.prompts import Item, question
from reprotune.judging.questions.replies import read_verdict
from reprotune.judging.service.collect import LONGEST_REPAIR
from reprotune.judging.service.store import LONGEST_LINE, LONGEST_TEXT, Reply, ReplyStore, question_key
from reprotune.untrusted import clipped

JUDGE: dict[str, Any] = {
    "backend": "ollama",
    "model": "llama3",
    "digest": "d1",
    "address": "local",
    "options": {"seed": 1},
}
QUESTION = question("reference", Item("i", "", "r", "a"))
REPLY = Reply('{"score": 5}', "stop", 10, 3)


def test_replies_survive_reopening(tmp_path: Path) -> None:
    path = tmp_path / "judge" / "replies.jsonl"
    with ReplyStore(path) as store:
        assert store.get("k") is None
        store.put("k", REPLY, JUDGE)
        assert store.get("k") == REPLY
    with ReplyStore(path) as store:
        assert store.get("k") == REPLY


def test_a_reply_is_in_the_file_at_once_and_on_the_disk_after_sync(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced = []
    monkeypatch.setattr("os.fsync", synced.append)
    path = tmp_path / "replies.jsonl"
    with ReplyStore(path) as store:
        store.put("k", REPLY, JUDGE)
        assert json.loads(path.read_text())["key"] == "k"
        assert synced == []
        store.sync()
        store.sync()
        assert len(synced) == 1


def test_the_first_reply_to_a_question_stays(tmp_path: Path) -> None:
    path = tmp_path / "replies.jsonl"
    with ReplyStore(path) as store:
        store.put("k", REPLY, JUDGE)
        store.put("k", REPLY._replace(text="other"), JUDGE)
        assert store.get("k") == REPLY
    assert len(path.read_text().splitlines()) == 1


@pytest.mark.parametrize("cut", [1, 20, -2])
def test_a_half_written_last_line_costs_only_itself(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "replies.jsonl"
    with ReplyStore(path) as store:
        store.put("a", REPLY, JUDGE)
        store.put("b", REPLY, JUDGE)
    first, second = path.read_bytes().splitlines()
    path.write_bytes(first + b"\n" + second[:cut])
    with ReplyStore(path) as store:
        assert (store.get("a"), store.get("b")) == (REPLY, None)
        store.put("b", REPLY, JUDGE)
    with ReplyStore(path) as store:
        assert (store.get("a"), store.get("b")) == (REPLY, REPLY)


def test_lines_of_other_programs_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "replies.jsonl"
    path.write_bytes(b'\xff\xfe\n[]\n{"key": "k"}\n{"key": "k", "reply": {"nonsense": 1}}\n\n"x"\n')
    with ReplyStore(path) as store:
        assert store.get("k") is None


def test_key_depends_on_all_that_shapes_a_reply() -> None:
    other_item = question("reference", Item("i", "", "r", "b"))
    keys = {
        question_key(JUDGE, QUESTION),
        question_key(JUDGE | {"backend": "openai"}, QUESTION),
        question_key(JUDGE | {"model": "mistral"}, QUESTION),
        question_key(JUDGE | {"digest": "d2"}, QUESTION),
        question_key(JUDGE | {"options": {"seed": 2}}, QUESTION),
        question_key(JUDGE, other_item),
        question_key(JUDGE, QUESTION._replace(schema=None)),
        question_key(JUDGE, QUESTION.after("x")),
        question_key(JUDGE, QUESTION, repeat=1),
    }
    assert len(keys) == 9
    assert question_key(JUDGE | {"address": "remote"}, QUESTION) in keys  # the digest says that it is the same model
    nameless = JUDGE | {"digest": None}
    assert question_key(nameless | {"address": "remote"}, QUESTION) != question_key(nameless, QUESTION)
    assert question_key(dict(reversed(JUDGE.items())), QUESTION) == question_key(JUDGE, QUESTION)


@pytest.mark.parametrize(
    "reply",
    [
        '{"text": null, "finish": "stop"}',
        '{"text": 5, "finish": "stop"}',
        '{"text": "8", "finish": "stop", "prompt_tokens": "3"}',
        '{"text": "8", "finish": "stop", "tail": [1]}',
        '{"text": "8", "finish": "stop", "tail": [["8", [["8"]]]]}',
        '{"text": "8", "finish": "stop", "tail": [["8", [["8", NaN]]]]}',
        '{"text": "8", "finish": "stop", "refused": "logprobs"}',
        r'{"text": "8\ud800", "finish": "stop"}',
        '{"text": ' + "[" * 100_000,
    ],
)
def test_a_bad_entry_is_counted_and_asked_again(tmp_path: Path, reply: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "replies.jsonl"
    path.write_text(f'{{"key": "k", "reply": {reply}}}\n', encoding="utf-8")
    with ReplyStore(path) as store:
        assert store.get("k") is None
        store.put("k", REPLY, JUDGE)
    assert "skipped 1 unreadable line(s)" in capsys.readouterr().err
    with ReplyStore(path) as store:
        assert store.get("k") == REPLY


def test_a_second_process_waits_and_has_the_replies_of_the_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "replies.jsonl"
    found = []

    def second() -> None:  # a lock belongs to the open file, so a thread stands for a process
        with ReplyStore(path) as store:
            found.append(store.get("k"))

    thread = threading.Thread(target=second)
    with ReplyStore(path) as store:
        thread.start()
        thread.join(0.2)
        assert thread.is_alive()
        store.put("k", REPLY, JUDGE)
    thread.join(5)
    assert found == [REPLY]
    assert "another process is asking" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("start", "end"),
    [("", '{"reasoning": "r", "score": 42}'), ("no verdict", "no verdict"), ('{"score": 1} ', '\n{"score": 9}\n')],
)
def test_of_a_very_long_reply_the_store_keeps_what_decides(tmp_path: Path, start: str, end: str) -> None:
    text = f"{start}{'word ' * 500_000}\n{end}"
    path = tmp_path / "replies.jsonl"
    with ReplyStore(path) as store:
        kept = store.put("k", Reply(text, "stop", fingerprint="f" * 10**6, served="m" * 10**6), JUDGE)
        assert store.get("k") == kept
    assert len(kept.text) <= LONGEST_TEXT
    assert f"[{len(text) - 32_000} characters are left out here]" in kept.text
    assert read_verdict(kept.text, "stop") == read_verdict(text, "stop")
    assert clipped(kept.text, LONGEST_REPAIR) == clipped(text, LONGEST_REPAIR)
    assert path.stat().st_size < 2 * LONGEST_TEXT
    with ReplyStore(path) as store:
        assert store.get("k") == kept


def test_a_reply_of_the_longest_length_is_kept_whole(tmp_path: Path) -> None:
    with ReplyStore(tmp_path / "replies.jsonl") as store:
        whole = REPLY._replace(text="x" * LONGEST_TEXT)
        assert store.put("k", whole, JUDGE) == whole


def test_a_line_of_many_megabytes_is_skipped_in_pieces(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reprotune.judging.service.store.LONGEST_LINE", 1000)
    assert LONGEST_LINE > 6 * LONGEST_TEXT
    path = tmp_path / "replies.jsonl"
    with ReplyStore(path) as store:
        store.put("before", REPLY, JUDGE)
    with path.open("a") as file:
        file.write("[" * 5500 + "\n")
    with ReplyStore(path) as store:
        store.put("after", REPLY, JUDGE)
        assert store.get("before") == REPLY
    assert "skipped 1 unreadable line(s)" in capsys.readouterr().err
    with ReplyStore(path) as store:
        assert store.get("after") == REPLY
