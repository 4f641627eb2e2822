"""Cases of bad ballots and votes: files to add, files that lie in data/votes, and what a ballot is made from."""

import json
from pathlib import Path
from random import Random
from typing import Any

import pyarrow.parquet as pq

from .cases import Plan, Step, subject
from .mutations import STRANGE, shown, spoil, spoil_json
from .project import INPUTS, STAGES, Project

VOTES = "data/votes"
NEEDS = (*INPUTS["preference"], "data/split/test.parquet", "data/formatted", "data/base")
BALLOT = ["reprotune", "ballot", "first", "base", "finetuned"]
COUNTED = [["reprotune", "votes"], STAGES["preference"]]
IMPORTED = {"model_a": "base", "model_b": "finetuned", "winner": "model_b", "judge": "Ada", "question_id": 7}


def downloaded(folder: Path, draw: Random) -> list[dict[str, Any]]:
    """Return the votes that one voter gives on the whole ballot."""
    import hashlib  # noqa: PLC0415

    key = folder / VOTES / "first.ballot.parquet"
    digest = hashlib.sha256(key.read_bytes()).hexdigest()
    pairs = [row["pair_id"] for row in pq.read_table(key).to_pylist() if row["place"] is not None]
    choices = ("left", "right", "same", "both_bad")
    return [
        {"ballot": digest, "pair": one, "voter": "Ada", "choice": draw.choice(choices), "seconds": 2.5} for one in pairs
    ]


def odd_votes(rows: list[Any], draw: Random) -> str:
    """Spoil some rows; returns what was done."""
    doings = []
    for _ in range(draw.choice([0, 1, 1, 3])):
        place = draw.randrange(len(rows))
        if draw.random() < 0.2 or not isinstance(rows[place], dict):
            rows[place] = draw.choice(STRANGE)
            doings.append(f"vote {place} is {shown(rows[place])}")
            continue
        key = draw.choice(sorted(rows[place]))
        rows[place][key] = draw.choice(
            [*STRANGE, "../x", "Ada/../x", "\u202eadA", "x" * 300, "tie", "left", "LEFT", -1]
        )
        doings.append(f"{key} of vote {place} is {shown(rows[place][key])}")
    return "; ".join(doings) or "no odd vote"


def written(path: Path, rows: list[Any], draw: Random) -> str:
    """Write votes as JSON Lines or JSON, which may then be spoiled; returns what was done."""
    as_list = path.suffix == ".json"
    text = json.dumps(rows) if as_list else "".join(json.dumps(row) + "\n" for row in rows)
    path.write_text(text, encoding="utf-8")
    return f"; {spoil(path, draw)}" if draw.random() < 0.3 else ""


@subject("d", "votes", *NEEDS, share=3)
def votes(draw: Random, folder: Path, project: Project) -> Plan:
    """A voter's file, rows of another arena, or the votes of the chat's page; added or found in data/votes."""
    kind = draw.choice(["download", "download", "imported", "chat.jsonl", "found"])
    path = folder / (f"{VOTES}/chat.jsonl" if kind == "chat.jsonl" else "x.json" if draw.random() < 0.2 else "x.jsonl")
    if kind == "found":
        path = folder / VOTES / "first.Ada.jsonl"

    def spoiled() -> str:
        own = kind in ("download", "found")
        rows = downloaded(folder, draw) if own else [{**IMPORTED, "question_id": number} for number in range(30)]
        what = odd_votes(rows, draw)
        return f"; {what}{written(path, rows, draw)}"

    add = [] if kind in ("found", "chat.jsonl") else [["reprotune", "votes", "add", path.name]]
    after = [Step(words) for words in [*add, *COUNTED]]
    after[0].before = spoiled
    return Plan(kind, [Step(BALLOT), *after], goes_on=True)


@subject("d", "ballot", *NEEDS, share=2)
def ballot(draw: Random, folder: Path, project: Project) -> Plan:
    """The key or the page of a ballot is spoiled, or what a ballot is made from."""
    kind = draw.choice(["key", "key", "page", "outputs", "responses"])
    if kind in ("key", "page"):
        name = f"{VOTES}/first.ballot.{'parquet' if kind == 'key' else 'html'}"
        first = Step(COUNTED[0], before=lambda: spoil(folder / name, draw, text=False))
        return Plan(f"{kind}: ", [Step(BALLOT), first, Step(COUNTED[1]), Step(BALLOT)], goes_on=True)
    if kind == "responses":
        what = spoil(folder / "data/responses/finetuned.parquet", draw, text=False)
        return Plan(what, [Step(BALLOT)])
    path = folder / "outputs.json"
    rows = [
        {"instruction": row["instruction"], "input": row["input"], "output": "x", "generator": "m"}
        for row in pq.read_table(folder / "data/split/test.parquet").to_pylist()
    ]
    path.write_text(json.dumps(rows), encoding="utf-8")
    what = spoil_json(path, draw)
    name = draw.choice(["first", "../x", "a b", "x" * 300, "\x1b[31m", ".", "-x", "é"])
    words = [*BALLOT[:2], "--", name, "finetuned", draw.choice(["", "m=", "\u202e="]) + path.name]
    return Plan(f"{what}; the ballot {name!a}", [Step(words), Step(COUNTED[0])], goes_on=True)
