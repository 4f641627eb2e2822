"""Counting all votes: what the stage writes and the command shows."""

from pathlib import Path
from typing import Any

from reprotune.artifacts import MODELS
from reprotune.params.sections.preference import PreferenceParams
from reprotune.preference.standing import asked, standing
from reprotune.preference.verdicts import beside_verdicts, current_records, read_responses, read_verdicts
from reprotune.preference.votes import Vote, in_cap, read_ballots, read_votes


def count_votes(
    folder: Path, responses_folder: Path, judgements: Path, params: PreferenceParams
) -> tuple[list[Vote], dict[str, Any]]:
    """Return the votes in `folder`, double ones counted once, and what they say; raises `UserError` as they are read.

    `outdated` is the number of voted pairs whose answers base or fine-tuned model no longer gives; nothing else is said
    of the answers of a run, where nobody voted.
    """
    ballots = read_ballots(folder)
    votes, double = read_votes(folder, ballots)
    found = standing(votes, ballots, double, params.min_seconds, params.max_votes_per_voter)
    base, finetuned = MODELS
    kept, _ = in_cap(votes, params.max_votes_per_voter)
    pairs = asked(kept, (finetuned, base))
    if not pairs:
        return votes, {**found, "outdated": 0, "scorers": {}}
    responses = read_responses(responses_folder)
    current = current_records(ballots.values(), responses)
    outdated = sum(pair.record not in current for pair in pairs)
    scorers = beside_verdicts(pairs, current, responses, read_verdicts(judgements, responses))
    return votes, {**found, "outdated": outdated, "scorers": scorers}
