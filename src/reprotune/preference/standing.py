"""How the votes stand: each two models against one another, all models together, and how far to trust the voters.

Several votes on one pair make one outcome, that of the majority: they depend on one another, and a test that took each
for a vote of its own would find differences that are not there.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from reprotune.artifacts import MODELS
from reprotune.preference.votes import Ballot, Vote, in_cap, is_passed
from reprotune.statistics.bradley_terry import bradley_terry
from reprotune.statistics.intervals import mean
from reprotune.statistics.nominal_agreement import krippendorff_alpha, raw_agreement
from reprotune.statistics.sequential import anytime_interval, is_decided, log_evidence, majority

LEAST_RATED = 3
"""Models that make ratings worth while: of two, the share of wins says everything."""
MOST_LOG_EVIDENCE = 27.0
"""Evidence beyond e^27, some 500 billion, is cut off there: as a number it means nothing more."""

Models = tuple[str, str]
"""Candidate and baseline."""


class Asked(NamedTuple):
    """A pair of answers to one record, with every vote on it from the candidate's side: 1, 0 or 0.5."""

    record: str
    outcomes: dict[str, float]
    """Voter -> outcome; of a voter who saw the same models on the same record in two ballots, the later one."""
    both_bad: int

    @property
    def outcome(self) -> float:
        """What the majority says."""
        return majority([*self.outcomes.values()])


def standing(
    votes: Sequence[Vote], ballots: Mapping[str, Ballot], double: int, min_seconds: float, most: int | None
) -> dict[str, Any]:
    """Return everything that the votes alone say, ready for JSON; `votes` have double ones taken out already."""
    kept, over = in_cap(votes, most)
    pairs = [vote for vote in kept if vote.control is None]
    voters = list(dict.fromkeys(vote.voter for vote in kept))
    return {
        "votes": len(pairs),
        "voters": len({vote.voter for vote in pairs}),
        "ballots": len({vote.source for vote in pairs}),
        "double": double,
        "over_cap": over,
        **_trust(kept, min_seconds),
        **_agreement(pairs),
        "by_voter": {voter: _one_voter(voter, kept, min_seconds) for voter in voters},
        "comparisons": {
            named(models): _comparison(models, asked(pairs, models), ballots) for models in _compared(pairs)
        },
        "ratings": _ratings(pairs),
    }


def named(models: Models) -> str:
    """Return the key of a comparison."""
    return f"{models[0]}_against_{models[1]}"


def _compared(votes: Iterable[Vote]) -> list[Models]:
    """Return the comparisons that have votes: the fine-tuned model is the candidate, the base model the baseline."""
    found = {(vote.first_model, vote.second_model) for vote in votes}
    base, finetuned = MODELS
    return sorted(
        (second, first) if first == base or second == finetuned else (first, second) for first, second in found
    )


def asked(votes: Iterable[Vote], models: Models) -> list[Asked]:
    """Return what was voted on between two models, a pair for each record."""
    outcomes: dict[str, dict[str, float]] = defaultdict(dict)
    both_bad: Counter[str] = Counter()
    for vote in votes:
        if {vote.first_model, vote.second_model} == set(models) and vote.control is None:
            outcome = vote.outcome if vote.first_model == models[0] else 1 - vote.outcome
            outcomes[vote.record][vote.voter] = outcome
            both_bad[vote.record] += vote.both_bad
    return [Asked(record, said, both_bad[record]) for record, said in outcomes.items()]


def _comparison(models: Models, pairs: Sequence[Asked], ballots: Mapping[str, Ballot]) -> dict[str, Any]:
    """Return how a candidate stands against a baseline; equal answers that were not shown are ties of the win rate."""
    results = [pair.outcome for pair in pairs]
    wins, losses = results.count(1.0), results.count(0.0)
    low, high = anytime_interval(wins, wins + losses) or (None, None)
    identical, shown = _identical(models, ballots)
    unseen = identical / (identical + shown) if identical + shown else 0.0
    voters = {voter for pair in pairs for voter in pair.outcomes}
    without = [_share(pairs, voter) for voter in voters] if len(voters) > 1 else []
    spread = [share for share in without if share is not None]
    decided = is_decided(wins, wins + losses)
    return {
        "candidate": models[0],
        "baseline": models[1],
        "pairs": len(pairs),
        "wins": wins,
        "losses": losses,
        "ties": len(pairs) - wins - losses,
        "both_bad": sum(pair.outcome == 0.5 and 2 * pair.both_bad > len(pair.outcomes) for pair in pairs),
        "identical": identical,
        "share": wins / (wins + losses) if wins + losses else None,
        "ci95_low": low,
        "ci95_high": high,
        "evidence": float(np.exp(np.minimum(log_evidence(wins, wins + losses), MOST_LOG_EVIDENCE))),
        "verdict": "open" if not decided else "better" if wins > losses else "worse",
        "win_rate": (1 - unseen) * float(np.mean(results)) + unseen / 2,
        "without_a_voter_low": min(spread, default=None),
        "without_a_voter_high": max(spread, default=None),
    }


def _share(pairs: Iterable[Asked], without: str) -> float | None:
    """Return the share of decisive pairs that the candidate wins if one voter had not voted."""
    left = [[outcome for voter, outcome in pair.outcomes.items() if voter != without] for pair in pairs]
    return mean([result for outcomes in left if outcomes and (result := majority(outcomes)) != 0.5])


def _identical(models: Models, ballots: Mapping[str, Ballot]) -> tuple[int, int]:
    """Return how many pairs of these models no page shows because the answers are equal, and how many one shows."""
    rows = {
        row["record"]: row["place"] is None
        for ballot in ballots.values()
        for row in ballot.pairs.values()
        if row["control"] is None and {row["left_model"], row["right_model"]} == set(models)
    }
    return sum(rows.values()), len(rows) - sum(rows.values())


def _ratings(votes: Sequence[Vote]) -> dict[str, Any] | None:
    """Return ratings of three models or more; null for fewer.

    A game is what the majority says of a pair; games about one record depend on one another.
    """
    games = [(*models, pair.outcome, pair.record) for models in _compared(votes) for pair in asked(votes, models)]
    found = bradley_terry([game[:3] for game in games], [[record for *_, record in games]])
    if found is None or len(found.models) < LEAST_RATED:
        return None
    halves = [None] * len(found.models) if found.half_widths is None else found.half_widths.tolist()
    return {
        "models": {
            model: {
                "rating": rating,
                "ci95_low": None if half is None else rating - half,
                "ci95_high": None if half is None else rating + half,
            }
            for model, rating, half in zip(found.models, found.ratings.tolist(), halves, strict=True)
        },
        "separated": found.separated,
        "tied_ranks": [list(pair) for pair in found.tied_ranks],
    }


def _trust(votes: Sequence[Vote], min_seconds: float) -> dict[str, Any]:
    """Return what controls, places and times say of the voters together, or of one of them."""
    found: dict[str, Any] = {}
    for kind in ("empty", "identical"):
        passed = [is_passed(vote) for vote in votes if vote.control == kind]
        found |= {f"controls_{kind}": len(passed), f"failed_{kind}": passed.count(False)}
    said = {(vote.source, vote.pair_id, vote.voter): vote.choice for vote in votes}
    repeats = [
        vote.choice == first
        for vote in votes
        if vote.repeats is not None and (first := said.get((vote.source, vote.repeats, vote.voter))) is not None
    ]
    sides = [vote.left for vote in votes if vote.left is not None and vote.control is None]
    return {
        **found,
        "repeated": len(repeats),
        "consistent_share": mean(repeats),
        "decisive": len(sides),
        "left_share": mean(sides),
        "fast": sum(vote.seconds is not None and vote.seconds < min_seconds for vote in votes),
    }


def _one_voter(voter: str, votes: Sequence[Vote], min_seconds: float) -> dict[str, Any]:
    own = [vote for vote in votes if vote.voter == voter]
    return {"votes": sum(vote.control is None for vote in own), **_trust(own, min_seconds)}


def _agreement(votes: Iterable[Vote]) -> dict[str, Any]:
    """Return how far voters agree on the pairs that two or more of them saw, in terms of first, second or neither."""
    units: dict[tuple[str, ...], list[float]] = defaultdict(list)
    for vote in votes:
        units[vote.source, vote.pair_id, vote.first_model, vote.second_model].append(vote.outcome)
    several = [unit for unit in units.values() if len(unit) > 1]
    return {
        "pairs_of_several": len(several),
        "alpha": krippendorff_alpha(several),
        "raw_agreement": raw_agreement(several),
    }
