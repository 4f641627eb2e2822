"""Votes on blind pairs: nothing tells whose answers they are before, and each vote counts once."""

import os
import threading
from pathlib import Path
from typing import Any

import pytest
import requests

from reprotune.chat.blind import MOST_OPEN, Blind, VoteRequest, blind_pairs
from reprotune.chat.requests import ApiError
from reprotune.errors import UserError
from reprotune.preference.votes import read_votes
from tests.builders.chat_project import body, running


def post(address: str, path: str, value: Any, **options: Any) -> requests.Response:
    return requests.post(f"{address}{path}", json=value, timeout=120, **options)


def said(address: str, model: str, **options: Any) -> dict[str, Any]:
    response = post(address, "/v1/chat/completions", body(model, max_tokens=12, temperature=0, **options))
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


@pytest.fixture
def votes(project: Path) -> Path:
    """The file of votes, not there yet."""
    path = project / "data/votes/chat.jsonl"
    path.unlink(missing_ok=True)
    return path


def test_a_vote_is_counted_for_the_model_whose_answer_it_was(address: str, votes: Path) -> None:
    own = {name: said(address, name)["choices"][0]["message"]["content"] for name in ("base", "finetuned")}
    assert own["base"] != own["finetuned"]
    for choice in ("first", "second", "both_bad"):
        pair = post(address, "/chat/pair", {}).json()
        told = [said(address, side) for side in pair["sides"]]
        assert not any(name in str([pair, told]) for name in own)
        answers = [one["choices"][0]["message"]["content"] for one in told]
        vote = {"pair": pair["pair"], "choice": choice, "voter": " Ada "}
        response = post(address, "/chat/vote", vote)
        assert response.status_code == 200, response.text
        models = response.json()["models"]
        assert [own[name] for name in models] == answers
        counted = read_votes(votes.parent, {})[0][-1]
        assert (counted.voter, counted.first_model, counted.second_model) == ("Ada", "base", "finetuned")
        preferred = {"first": models[0], "second": models[1]}.get(choice, "neither")
        assert (counted.choice, counted.both_bad) == (preferred, choice == "both_bad")
        again = post(address, "/chat/vote", vote)
        assert (again.status_code, again.json()["error"]["param"]) == (404, "pair")
        assert post(address, "/v1/chat/completions", body(pair["sides"][0])).status_code == 404
    assert len(read_votes(votes.parent, {})[0]) == 3


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"choice": "base"}, "choice"),
        ({"voter": "x" * 81}, "the voter should be a name"),
        ({"voter": "\u202e"}, "the voter should be a name"),
        ({"voter": 5}, "voter"),
        ({"model": "base"}, "model is not known here"),
    ],
)
def test_what_is_no_vote_leaves_the_pair_open(address: str, votes: Path, change: dict[str, Any], part: str) -> None:
    vote = {"pair": post(address, "/chat/pair", {}).json()["pair"], "choice": "same"}
    refused = post(address, "/chat/vote", vote | change)
    assert refused.status_code == 400
    assert part in refused.json()["error"]["message"]
    assert not votes.exists()
    assert post(address, "/chat/vote", vote).status_code == 200
    assert read_votes(votes.parent, {})[0][0].voter == "anonymous"


@pytest.mark.parametrize("path", ["/chat/pair", "/chat/vote"])
def test_pages_of_others_do_not_vote(address: str, votes: Path, path: str) -> None:
    assert post(address, path, {}, headers={"Origin": "https://example.org"}).status_code == 403
    assert post(address, path, {}, headers={"Host": "example.org"}).status_code == 403
    assert requests.post(f"{address}{path}", data="{}", timeout=30).status_code == 415
    assert not votes.exists()


def test_one_model_has_no_votes(project: Path) -> None:
    with running(project, "base", "--no-browser", command="chat") as (address, _):
        assert requests.get(f"{address}/chat/models", timeout=30).json()["votes"] is False
        assert post(address, "/chat/pair", {}).status_code == 404


def test_where_there_can_be_votes(tmp_path: Path) -> None:
    assert blind_pairs(["base", "finetuned"], tmp_path) is not None
    assert blind_pairs(["base", "finetuned"], tmp_path / "votes") is None
    assert blind_pairs(["base"], tmp_path) is None
    assert blind_pairs(["base", "x" * 81], tmp_path) is None


def test_sides_are_drawn_and_only_the_newest_pairs_are_kept(tmp_path: Path) -> None:
    blind = Blind(["base", "finetuned"], tmp_path / "chat.jsonl")
    pairs = [blind.draw() for _ in range(MOST_OPEN + 1)]
    first = [blind.model_name(pair.sides[0]) for pair in pairs[1:]]
    assert 400 < first.count("base") < 600
    assert blind.model_name(pairs[0].sides[0]) == pairs[0].sides[0]
    assert blind.model_name("base") == "base"
    with pytest.raises(ApiError, match="no such pair"):
        blind.vote(VoteRequest(pair=pairs[0].token, choice="same"))


def test_of_many_votes_on_a_pair_at_once_one_counts(tmp_path: Path) -> None:
    path = tmp_path / "chat.jsonl"
    path.write_text('{"model_a": "x", "model_b": "y", "winner": "tie"}')  # edited, without the last line break
    blinds = [Blind(["base", "finetuned"], path) for _ in range(2)]
    pairs = [(blind, blind.draw().token) for blind in blinds for _ in range(40)]
    refused = []

    def vote(blind: Blind, token: str) -> None:
        try:
            blind.vote(VoteRequest(pair=token, choice="first"))
        except ApiError:
            refused.append(token)

    threads = [threading.Thread(target=vote, args=pair) for pair in pairs * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == len(pairs)
    counted, double = read_votes(tmp_path, {})
    assert (len(counted), double) == (len(pairs) + 1, 0)


def test_a_vote_that_cannot_be_kept_can_be_given_again(tmp_path: Path) -> None:
    path = tmp_path / "chat.jsonl"
    blind = Blind(["base", "finetuned"], path)
    vote = VoteRequest(pair=blind.draw().token, choice="same")
    os.mkfifo(path)
    with pytest.raises(UserError, match="is no file"):
        blind.vote(vote)
    path.unlink()
    path.mkdir()
    with pytest.raises(UserError, match="the vote cannot be kept"):
        blind.vote(vote)
    path.rmdir()
    with path.open("wb") as file:
        file.truncate((16 << 20) + 1)
    with pytest.raises(UserError, match="rename it"):
        blind.vote(vote)
    path.unlink()
    assert set(blind.vote(vote)) == {"base", "finetuned"}
    assert len(read_votes(tmp_path, {})[0]) == 1


def test_a_full_disk_leaves_the_file_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "chat.jsonl"
    blind = Blind(["base", "finetuned"], path)
    blind.vote(VoteRequest(pair=blind.draw().token, choice="same"))
    before, write = path.read_bytes(), os.write
    monkeypatch.setattr(os, "write", lambda descriptor, content: write(descriptor, content[:20]))
    with pytest.raises(UserError, match="no space left"):
        blind.vote(VoteRequest(pair=blind.draw().token, choice="same"))
    assert path.read_bytes() == before
