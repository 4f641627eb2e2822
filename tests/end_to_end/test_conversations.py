"""Conversations from the file to the report: several turns, two sources, a base model with a chat template."""

import json

import pytest

from reprotune.artifacts import FORMATTED_TURNS, TOKENS_TURNS, read_table

pytestmark = [pytest.mark.pipeline, pytest.mark.slow]

TEMPLATE = (
    "{% for message in messages %}{{ message.role }}: {{ message.content }}"
    "{% if message.role == 'assistant' %}{{ eos_token }}{% endif %}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}"
)
TOPICS = ("bread", "rain", "the moon", "trains", "chess", "moss", "salt", "kites", "bees", "clay")
VERBS = ("making", "drawing", "explaining", "finding", "naming")


def conversation(verb: str, topic: str, turns: int) -> dict[str, list[dict[str, str]]]:
    messages = []
    for turn in range(turns):
        messages.append({"from": "human", "value": f"Question {turn} about {verb} {topic}?"})
        messages.append({"from": "gpt", "value": f"Answer {turn}: {topic} is worth {verb}."})
    return {"conversations": messages}


def test_conversations_come_through_to_the_report(clone) -> None:
    chats = [conversation(verb, topic, 1 + len(topic) % 3) for verb in VERBS for topic in TOPICS]
    base = clone.root / "my-base"
    (clone.root / "data/base").rename(base)  # the embedded one, with its tokenizer's files
    settings = json.loads((base / "tokenizer_config.json").read_text(encoding="utf-8"))
    (base / "tokenizer_config.json").write_text(json.dumps({**settings, "chat_template": TEMPLATE}), encoding="utf-8")
    (clone.root / "chats.jsonl").write_text("\n".join(map(json.dumps, chats)), encoding="utf-8")
    (clone.root / "exam.json").write_text(
        json.dumps([conversation("losing", what, 2) for what in ("time", "keys", "games", "heart")]), encoding="utf-8"
    )
    sources = [
        {"name": "chats", "source": "chats.jsonl", "max_rows": 40},
        {"name": "exam", "source": "exam.json", "role": "test"},
    ]
    changes = {"fetch.base.source": "my-base", "fetch.dataset.source": None, "fetch.dataset.sources": sources}
    clone.set_params({**changes, "format.template": "chat", "split.test": 0, "split.train": 30})
    clone.run("reprotune", "deps", "--fix")
    planned = clone.run("reprotune", "plan").stdout
    assert "fetch@base" in clone.repro() and "fetch@dataset" in planned
    assert "exam" in clone.run("reprotune", "check").stdout
    rows = clone.read_json("data/split/summary.json")["rows"]
    assert (rows["train"], rows["test"]) == (30, 4)

    formatted = {
        row["id"]: row for row in read_table(clone.root / "data/formatted/train.parquet", FORMATTED_TURNS).to_pylist()
    }
    tokens = read_table(clone.root / "data/tokens/train.parquet", TOKENS_TURNS).to_pylist()
    assert len(tokens) == 30
    for row in tokens:
        answers = [turn["text"] for turn in formatted[row["id"]]["turns"] if turn["trained"]]
        assert len(answers) == len(row["trained_spans"])
        assert all(answer.startswith("Answer ") for answer in answers)
    judged = clone.read_json("data/judgements/metrics.json")
    assert judged["base"]["n"] == judged["finetuned"]["n"] == 4
    assert (clone.root / "data/model/chat_template.jinja").read_text(encoding="utf-8") == TEMPLATE
    assert "losing time" in (clone.root / "data/report/index.html").read_text(encoding="utf-8")
    assert clone.repro() == []
