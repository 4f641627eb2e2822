"""Health of the judge: what a run itself tells about how far its scores can be trusted."""

from collections.abc import Sequence

import numpy as np

from reprotune.errors import UserError
from reprotune.judging.checks import KINDS, passed_canaries
from reprotune.judging.scoring import ScoredAnswer
from reprotune.statistics.intervals import spearman


def health(scored: Sequence[ScoredAnswer], canaries: Sequence[ScoredAnswer]) -> dict[str, float | None]:
    """Return flat numbers: canaries passed by kind, spread of repeats, correlation of score and length per model.

    `repeat_sd` is the pooled standard deviation of the scores that the judge gave to one answer; `weighted_share` the
    share of its scores that are weighted by token probabilities, and `probability_mass` the mean probability of the
    legal scores there. Null is what was not measured.
    """
    passed = passed_canaries(canaries)
    total = [one for kind in passed.values() for one in kind]
    result = {f"canaries_{kind}": _share(passed.get(kind, [])) for kind in KINDS}
    judgements = [row.judgement for row in scored if row.judgement is not None]
    spreads = [float(np.var(judgement.scores, ddof=1)) for judgement in judgements if len(judgement.scores) > 1]
    masses = [mass for judgement in judgements for mass in judgement.masses]
    scores = sum(len(judgement.scores) for judgement in judgements)
    return {
        "canaries": _share(total),
        **result,
        "repeat_sd": float(np.sqrt(np.mean(spreads))) if spreads else None,
        "weighted_share": len(masses) / scores if scores else None,
        "probability_mass": float(np.mean(masses)) if masses else None,
        "length_correlation_base": _length_correlation(scored, "base"),
        "length_correlation_finetuned": _length_correlation(scored, "finetuned"),
    }


def check_canaries(found: dict[str, float | None], least: float) -> None:
    """Raise `UserError` when a smaller share than `least` of any kind of canary was scored as it should be."""
    shares = {kind: found[f"canaries_{kind}"] for kind in KINDS}
    failed = {kind: share for kind, share in shares.items() if share is not None and share < least}
    if failed:
        words = ", ".join(f"{share:.0%} of kind {kind}" for kind, share in failed.items())
        raise UserError(
            f"the judge failed its canaries (scored as they should be: {words}; judge.min_canary_pass asks for "
            f"{least:.0%} of each kind), so its scores in data/judgements are not to be trusted: choose another "
            "judge.model or judge.rubric in params.yaml, or lower judge.min_canary_pass; every reply is kept"
        )


def _length_correlation(scored: Sequence[ScoredAnswer], model: str) -> float | None:
    rows = [row for row in scored if row.answer.model == model and row.score is not None]
    return spearman([row.score or 0.0 for row in rows], [len(row.answer.item.response.strip()) for row in rows])


def _share(passed: Sequence[bool]) -> float | None:
    return sum(passed) / len(passed) if passed else None
