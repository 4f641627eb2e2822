"""Votes beside the judge and the composite, on the artifacts of a finished run."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from reprotune.artifacts import SCORES, write_table
from reprotune.params.sections.preference import PreferenceParams
from reprotune.preference.ballot import Plan
from reprotune.preference.contestants import of_responses, questions
from reprotune.preference.count import count_votes
from reprotune.preference.standing import Asked
from reprotune.preference.verdicts import beside_verdicts, read_responses, read_verdicts
from reprotune.preference.votes import FOLDER, Ballot, read_ballots
from reprotune.preference.writing import write_ballot

PARAMS = PreferenceParams(controls=0.0, seed=1, min_seconds=1.5, max_votes_per_voter=None)
RESPONSES, JUDGEMENTS = Path("data/responses"), Path("data/judgements")


@pytest.fixture
def voted(workspace: Path) -> Ballot:
    """The workspace with a ballot on its answers, and 20 votes for the fine-tuned model, 5 for the base model."""
    (workspace / "data/judgements/verdicts.jsonl").write_text("", encoding="utf-8")
    contestants = [
        of_responses(model, RESPONSES / f"{model}.parquet", Path("data/split/test.parquet"))
        for model in ("base", "finetuned")
    ]
    asked, alone = questions(contestants)
    list(write_ballot("first", asked, alone, Plan(1, 0.0, None)))
    ballot = next(iter(read_ballots(FOLDER).values()))
    rows = []
    shown = {pair["place"]: pair for pair in ballot.pairs.values() if pair["place"] is not None}
    for pair in (shown[place] for place in range(25)):
        wanted = "base" if pair["place"] % 5 == 4 else "finetuned"
        choice = "left" if pair["left_model"] == wanted else "right"
        rows.append({"ballot": ballot.sha256, "pair": pair["pair_id"], "voter": "Ada", "choice": choice})
    (FOLDER / "first.ada.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return ballot


def test_the_composite_stands_beside_the_votes(voted: Ballot) -> None:
    votes, found = count_votes(FOLDER, RESPONSES, JUDGEMENTS, PARAMS)
    assert (len(votes), found["outdated"]) == (25, 0)
    beside = found["scorers"]["offline_composite"]
    assert beside["n"] == 25 and beside["joined"]["voted"] == 25
    hidden = sum(pair["place"] is None for pair in voted.pairs.values())
    assert beside["joined"]["unvoted"] == 60 - hidden - 25
    assert beside["joined"]["ci95_low"] < beside["joined"]["win_rate"] < beside["joined"]["ci95_high"]


def test_votes_on_answers_of_an_earlier_run_are_told_and_not_compared(voted: Ballot) -> None:
    path = RESPONSES / "finetuned.parquet"
    table = pq.read_table(path)
    rows = [{**row, "response": f"{row['response']} now"} for row in table.to_pylist()]
    write_table(path, pa.Table.from_pylist(rows, schema=table.schema))
    _, found = count_votes(FOLDER, RESPONSES, JUDGEMENTS, PARAMS)
    assert (found["votes"], found["outdated"]) == (25, 25)
    assert found["scorers"]["offline_composite"] == {"n": 0, "agreement": None, "alpha": None, "joined": None}


def test_a_judge_s_verdicts_on_pairs_count_before_its_scores(voted: Ballot) -> None:
    responses = read_responses(RESPONSES)
    rows = pq.read_table(JUDGEMENTS / "scores.parquet").to_pylist()
    scored = [{**row, "method": "ollama:llama3:reference:1a2b3c4d"} for row in rows]
    write_table(JUDGEMENTS / "scores.parquet", pa.Table.from_pylist(scored, schema=SCORES))
    by_score = read_verdicts(JUDGEMENTS, responses)["ollama:llama3:reference:1a2b3c4d"]
    assert sum(by_score.values()) > 0.8 * len(by_score)
    shown_first = [
        ("1", "base", 0),
        ("1", "finetuned", 100),
        ("2", "base", 100),
        ("2", "finetuned", 100),
        ("3", "base", 9),
    ]
    lines = [{"purpose": "pairwise", "id": one, "model": model, "score": score} for one, model, score in shown_first]
    lines.append({"purpose": "score", "id": "4", "model": "base", "score": 100})
    (JUDGEMENTS / "verdicts.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8")
    found = read_verdicts(JUDGEMENTS, responses)
    assert found["ollama:llama3:reference:1a2b3c4d"] == {"1": 1.0, "2": 0.5}
    assert set(found) == {"offline_composite", "ollama:llama3:reference:1a2b3c4d"}


def test_equal_answers_are_ties_of_the_joined_rate() -> None:
    responses = {str(n): ("same", "same ") if n < 50 else (f"a{n}", f"b{n}") for n in range(100)}
    verdicts = {"judge": {str(n): 1.0 for n in range(50, 100)}}
    found = beside_verdicts([], set(), responses, verdicts)
    assert found["judge"]["joined"] is None
    pairs = [Asked(str(n), {"Ada": 1.0}, 0) for n in range(50, 70)]
    joined = beside_verdicts(pairs, {str(n) for n in range(50, 100)}, responses, verdicts)["judge"]["joined"]
    assert joined["win_rate"] == 0.75 and (joined["voted"], joined["unvoted"]) == (20, 30)
