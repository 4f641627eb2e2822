"""The commands `ballot` and `votes`, and what a page of results says of votes."""

import json
from pathlib import Path

import pytest

from reprotune.preference.votes import read_ballots
from tests.builders.command_line import reprotune
from tests.builders.run import ROOT


@pytest.fixture
def ready(workspace: Path) -> Path:
    (workspace / "data/judgements/verdicts.jsonl").write_text("", encoding="utf-8")
    return workspace


def votes_file(folder: Path, name: str = "first") -> Path:
    ballot = next(one for one in read_ballots(folder / "data/votes").values() if one.name == name)
    rows = [
        {"ballot": ballot.sha256, "pair": pair["pair_id"], "voter": "Ada", "choice": choice, "seconds": 2.0}
        for pair in ballot.pairs.values()
        if pair["place"] is not None
        for choice in ["left" if pair["left_model"] in ("finetuned", "(reference)") else "right"]
    ]
    path = folder / "ada.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return path


def test_a_ballot_is_made_voted_on_and_counted(ready: Path) -> None:
    made = reprotune("ballot", "first", "base", "finetuned")
    assert made.exit_code == 0, made.stderr
    assert made.stdout.splitlines()[0] == "data/votes/first.ballot.html: 54 pairs of 2 models and 7 controls"
    key, page = (ready / f"data/votes/first.ballot.{kind}" for kind in ("parquet", "html"))
    before = key.read_bytes(), page.read_bytes()
    assert reprotune("ballot", "first", "base", "finetuned").exit_code == 0
    assert (key.read_bytes(), page.read_bytes()) == before, "the same again"
    assert reprotune("votes").stdout.startswith("nobody has voted yet")
    added = reprotune("votes", "add", votes_file(ready))
    assert added.stdout.startswith("Ada: 54 of the 54 pairs of ballot first"), added.stderr
    shown = reprotune("votes").stdout
    assert "finetuned against base\nDecided: finetuned is preferred to base." in shown
    assert "Beside offline_composite" in shown


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (["ballot", "../x", "base", "finetuned"], "cannot name a ballot"),
        (["ballot", "x", "base"], "a ballot needs two contestants or more"),
        (["ballot", "x", "base", "base"], "two contestants are called 'base'"),
        (["ballot", "x", "base", "a=base", "b\u202e=base"], "the name before = should be a name"),
        (["ballot", "x", "base", "same=data/responses/base.parquet"], "all answers are equal"),
        (["ballot", "x", "base", "missing.json"], "missing.json is missing"),
        (["votes", "remove"], "say `reprotune votes`"),
        (["votes", "add"], "say `reprotune votes`"),
        (["votes", "add", "none.jsonl"], "none.jsonl is missing"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(words: list[str], fault: str, ready: Path) -> None:
    said = reprotune(*words)
    assert said.exit_code == 1 and fault in said.stderr and "Traceback" not in said.stderr
    assert not list(ready.glob("data/votes/*"))


def test_a_ballot_that_people_may_be_voting_on_is_not_replaced(ready: Path) -> None:
    reprotune("ballot", "first", "base", "finetuned")
    other = reprotune("ballot", "first", "base", "finetuned", "--pairs", "5")
    assert other.exit_code == 1 and "is the key of another ballot: choose another name" in other.stderr


def test_votes_need_the_project_s_params(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "params.yaml" in reprotune("votes").stderr
    (tmp_path / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    assert reprotune("votes").exit_code == 0
