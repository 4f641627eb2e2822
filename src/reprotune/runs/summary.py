"""What several seeds come to: mean, spread over seeds, error, and how far the seeds agree on single rows."""

from typing import Any

import numpy as np

from reprotune.runs.repeats import Repeats
from reprotune.statistics.crossed import CrossedMean, crossed_mean
from reprotune.statistics.nominal_agreement import krippendorff_alpha, raw_agreement

AVERAGED = {
    "score": (0.0, 100.0),
    "exact_match": (0.0, 1.0),
    "chrf": (0.0, 1.0),
    "rouge_l": (0.0, 1.0),
    "token_f1": (0.0, 1.0),
}
"""What is averaged over rows and seeds, with the smallest and largest value that a row can have."""


def summarise(repeats: Repeats) -> dict[str, Any]:
    """Return the numbers of `data/repeats/metrics.json`, ready for JSON."""
    values = {name: score_table(repeats, name) for name in AVERAGED}
    scored = ~np.isnan(values["score"]).any(axis=0)
    kept = values | {"score": values["score"][:, scored]}
    categories = [row.answer.category for row in repeats.runs[0].answers]
    clusters = dict.fromkeys(values, categories)
    clusters["score"] = [name for name, known in zip(categories, scored, strict=True) if known]
    losses = np.array([run.trained.validation_loss for run in repeats.runs])
    return {
        "method": repeats.method,
        "seeds": len(repeats.runs),
        "rows": len(categories),
        "unscored_rows": int((~scored).sum()),
        **{name: _mean(kept[name], bounds, clusters[name]) for name, bounds in AVERAGED.items()},
        "validation_loss": _spread(losses),
        "agreement": _agreement(repeats, values["exact_match"]),
        "by_seed": {
            str(run.seed): {
                "score": float(kept["score"][place].mean()) if scored.any() else None,
                "exact_match": float(values["exact_match"][place].mean()),
                "validation_loss": run.trained.validation_loss,
            }
            for place, run in enumerate(repeats.runs)
        },
    }


def score_table(repeats: Repeats, name: str) -> np.ndarray:
    """Return the scores or statistics of all answers, of shape (seeds, rows); NaN where a judge gave no score."""
    return np.array(
        [
            [_value(row.score if name == "score" else getattr(row.statistics, name)) for row in run.answers]
            for run in repeats.runs
        ]
    )


def _value(value: float | None) -> float:
    return np.nan if value is None else float(value)


def _mean(values: np.ndarray, bounds: tuple[float, float], clusters: list[str | None]) -> dict[str, Any]:
    """Return a mean with its spread over seeds and its two-level interval; null where there is none."""
    if not values.size:
        return dict.fromkeys(("mean", "sd", "lowest", "highest", *ERRORS))
    return _spread(values.mean(axis=1)) | _errors(crossed_mean(values, bounds, clusters))


ERRORS = ("ci95_low", "ci95_high", "stderr", "stderr_rows", "stderr_seeds")


def _errors(found: CrossedMean | None) -> dict[str, float | None]:
    if found is None:
        return dict.fromkeys(ERRORS)
    share = found.share
    values = (found.ci95_low, found.ci95_high, share.stderr, share.stderr_rows, share.stderr_seeds)
    return dict(zip(ERRORS, values, strict=True))


def _spread(by_seed: np.ndarray) -> dict[str, Any]:
    """Return the mean of one number per seed, and how far the seeds lie apart."""
    several = len(by_seed) > 1
    return {
        "mean": float(by_seed.mean()),
        "sd": float(by_seed.std(ddof=1)) if several else None,
        "lowest": float(by_seed.min()),
        "highest": float(by_seed.max()),
    }


def _agreement(repeats: Repeats, exact: np.ndarray) -> dict[str, Any]:
    """Return how far the seeds agree row by row: on the text of the answer, and on whether it is exact."""
    texts = zip(*([row.answer.item.response for row in run.answers] for run in repeats.runs), strict=True)
    share = exact.mean(axis=0)
    return {
        "same_answer": raw_agreement([list(row) for row in texts]),
        "same_exactness": raw_agreement(exact.T.tolist()),
        "exactness_alpha": krippendorff_alpha(exact.T.tolist()),
        "always_exact": float((share == 1).mean()),
        "sometimes_exact": float(((share > 0) & (share < 1)).mean()),
        "never_exact": float((share == 0).mean()),
    }
