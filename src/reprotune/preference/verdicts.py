"""What the judge and the offline composite say of the pairs that people voted on, and both joined.

Votes are compared with them only on answers that the models still give: those of an earlier run have no verdict here.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from reprotune.artifacts import MODELS, RESPONSES, SCORES, read_table
from reprotune.files import parsed_json, read_text
from reprotune.judging.offline import Statistics, offline_composite
from reprotune.preference.standing import Asked
from reprotune.preference.votes import Ballot
from reprotune.statistics.nominal_agreement import krippendorff_alpha, raw_agreement
from reprotune.statistics.prediction_powered import prediction_powered
from reprotune.statistics.win_rate import outcome_of_scores, outcome_of_verdicts

COMPOSITE = "offline_composite"
REMEDY = "run `dvc repro` to make it anew"
BASE, FINETUNED = MODELS

Outcomes = dict[str, float]
"""Record -> 1 where the fine-tuned model's answer is better, 0 where the base model's is, 0.5 for neither."""


def read_responses(folder: Path) -> dict[str, tuple[str, str]]:
    """Return the current answers by record: those of the base model and of the fine-tuned one."""
    base, finetuned = (
        {row["id"]: row["response"] for row in read_table(folder / f"{model}.parquet", RESPONSES).to_pylist()}
        for model in MODELS
    )
    return {record: (base[record], finetuned[record]) for record in base.keys() & finetuned.keys()}


def read_verdicts(folder: Path, responses: Mapping[str, tuple[str, str]]) -> dict[str, Outcomes]:
    """Return what each scorer prefers, by its name, from what the judge stage wrote.

    A judge's verdicts on the pairs themselves, in both orders, count before the two scores that it gave.
    """
    rows = read_table(folder / "scores.parquet", SCORES).to_pylist()
    scores = {(row["model"], row["id"]): row for row in rows}
    found = {COMPOSITE: _of_scores({key: _composite(row, responses) for key, row in scores.items()})}
    methods = sorted({row["method"] for row in rows} - {COMPOSITE})
    if methods:
        verdicts = _of_pairs(folder / "verdicts.jsonl")
        found[methods[0]] = verdicts or _of_scores({key: row["score"] for key, row in scores.items()})
    return found


def _composite(row: Mapping[str, Any], responses: Mapping[str, tuple[str, str]]) -> float | None:
    if row["id"] not in responses:
        return None
    text = responses[row["id"]][MODELS.index(row["model"])]
    return offline_composite(Statistics(**{name: row[name] for name in Statistics._fields}), text)


def _of_scores(scores: Mapping[tuple[str, str], float | None]) -> Outcomes:
    found = {}
    for (model, record), before in scores.items():
        after = scores.get((FINETUNED, record))
        if model == BASE and before is not None and after is not None:
            found[record] = outcome_of_scores(before, after)
    return found


def _of_pairs(path: Path) -> Outcomes:
    points: dict[str, dict[str, float]] = {}
    for number, line in enumerate(read_text(path, REMEDY).splitlines(), 1):
        verdict = parsed_json(line, f"{path} line {number}", REMEDY)
        if verdict.get("purpose") == "pairwise" and verdict.get("score") is not None:
            points.setdefault(verdict["id"], {})[verdict["model"]] = verdict["score"]
    return {
        record: outcome_of_verdicts(first[BASE], first[FINETUNED])
        for record, first in points.items()
        if set(first) == set(MODELS)
    }


def current_records(ballots: Iterable[Ballot], responses: Mapping[str, tuple[str, str]]) -> set[str]:
    """Return the records whose answers in the ballots are those that both models give now."""
    found = set()
    for ballot in ballots:
        for row in ballot.pairs.values():
            texts = {row["left_model"]: row["left_text"], row["right_model"]: row["right_text"]}
            if texts.keys() == set(MODELS) and responses.get(row["record"]) == (texts[BASE], texts[FINETUNED]):
                found.add(row["record"])
    return found


def beside_verdicts(
    pairs: Sequence[Asked],
    current: set[str],
    responses: Mapping[str, tuple[str, str]],
    verdicts: Mapping[str, Outcomes],
) -> dict[str, Any]:
    """Return how far each scorer agrees with the votes on the fine-tuned against the base model, and both joined.

    Joined is the win rate over all test rows, ties as half a win, and equal answers as ties that nobody need see.
    """
    voted = {pair.record: pair.outcome for pair in pairs if pair.record in current}
    different = {record for record, (base, finetuned) in responses.items() if base.strip() != finetuned.strip()}
    share = len(different) / len(responses) if responses else 0.0
    return {name: _beside(voted, different, share, outcomes) for name, outcomes in verdicts.items()}


def _beside(voted: Outcomes, different: set[str], share: float, outcomes: Outcomes) -> dict[str, Any]:
    both = sorted(voted.keys() & outcomes.keys())
    units = [[voted[record], outcomes[record]] for record in both]
    others = [outcomes[record] for record in sorted(different - voted.keys()) if record in outcomes]
    joined = prediction_powered([voted[record] for record in both], [outcomes[record] for record in both], others)
    found: dict[str, Any] = {
        "n": len(both),
        "agreement": raw_agreement(units),
        "alpha": krippendorff_alpha(units),
        "joined": None,
    }
    if joined is None:
        return found

    def over_all(rate: float) -> float:
        return share * rate + (1 - share) / 2

    return {
        **found,
        "joined": {
            "win_rate": over_all(joined.estimate),
            "ci95_low": over_all(joined.low),
            "ci95_high": over_all(joined.high),
            "weight": joined.weight,
            "voted": joined.voted,
            "unvoted": joined.unvoted,
            "votes_low": over_all(joined.votes_low),
            "votes_high": over_all(joined.votes_high),
        },
    }
