"""The numbers in `metrics/`, which Git tracks: `dvc metrics diff` and `dvc plots diff` compare them between branches.

Costly stages keep their results in cached outs, and the report stage publishes the numbers from there. Every metrics
file is a JSON object of finite numbers and short labels (DVC drops lists, and NaN is not valid JSON).
"""

import csv
import io
import math
from collections.abc import Iterable
from typing import Any

from reprotune.artifacts import MODELS, STATISTICS
from reprotune.multiple_choice.figures.accuracy import Figures, subject_figures
from reprotune.multiple_choice.figures.measured import Measured
from reprotune.untrusted import visible

SCORE_KEYS = ("score", "ci95_low", "ci95_high", "stderr", "stderr_clustered", "n", "unscored", "coverage", *STATISTICS)
HISTOGRAM_BINS = 10


def scores_metrics(judged: dict[str, Any]) -> dict[str, Any]:
    """Return metrics/scores.json: both models' scores, their difference, the judge's health, the pairs.

    The method is published with the numbers, because scores of different methods must not be compared. Categories are
    left to `categories_csv` and the canaries' intervals to the judge's own file: as metrics, each number would be a
    line of `dvc metrics diff` and a column of `dvc exp show`.
    """
    health = {key: value for key, value in judged["health"].items() if key != "canary_intervals"}
    return numbers(
        {
            "method": judged["method"],
            "base": {key: judged["base"].get(key) for key in SCORE_KEYS},
            "finetuned": {key: judged["finetuned"].get(key) for key in SCORE_KEYS},
            "difference": judged["difference"],
            "health": health,
            "pairwise": judged["pairwise"] or {},
            "checks": {key: value for key, value in judged.get("checks", {}).items() if key != "kinds"},
        }
    )


def benchmark_metrics(task: str, figures: dict[str, Figures], retention: dict[str, Any]) -> dict[str, Any]:
    """Return metrics/benchmark.json: `<task>.<formulation>.<model>` and `retention.<model>`; empty without either.

    Control characters in the names of groups are spelled out, since DVC prints them as they are.
    """
    found = {
        formulation: {**values, "groups": {visible(name): rates for name, rates in values["groups"].items()}}
        for formulation, values in figures.items()
    }
    own = {task: found} if found else {}
    # formulations have other names than models, so a task that is called retention loses nothing
    return numbers({**own, "retention": {**own.get("retention", {}), **retention}})


def subjects_csv(measured: Measured) -> str:
    """Return metrics/plots/subjects.csv: items and right answers per subject, with intervals.

    Where there are several formulations, a subject's name ends in that of each. Names are as in `categories_csv`.
    """
    columns = ["n", *(f"{model}{end}" for model in MODELS for end in ("", "_low", "_high"))]
    lines = []
    for formulation, asked in measured.asked.items():
        ending = f" ({formulation})" if len(measured.asked) > 1 else ""
        for name, rates in subject_figures(asked).items():
            lines.append([f"{_plot_name(name)}{ending}", *map(_rounded, map(rates.get, columns))])
    return _csv(["subject", *columns], lines)


def speed_metrics(speed: dict[str, Any]) -> dict[str, Any]:
    """Return metrics/speed.json: what was measured and what it was made with, without when and from which commit.

    Those name a state that is not the one they would be committed with.
    """
    return numbers({key: value for key, value in speed.items() if key != "trained"})


def export_metrics(parity: dict[str, Any]) -> dict[str, Any]:
    """Return metrics/export.json: for each exported file, its size and how often it does what our decoder does."""
    files = {
        name: {key: item for key, item in file.items() if key != "sha256"} for name, file in parity["files"].items()
    }
    return numbers({**files, "checked_with": parity["checked_with"], "rows": parity["rows"]})


def numbers(value: dict[str, Any]) -> dict[str, Any]:
    """Return nested objects with their numbers and labels only; nulls, lists and empty objects are left out.

    Raises ValueError on a number that is not finite.
    """
    kept: dict[str, Any] = {}
    for key, item in value.items():
        if isinstance(item, dict):
            if nested := numbers(item):
                kept[key] = nested
        elif isinstance(item, float) and not math.isfinite(item):
            raise ValueError(f"{key} is {item}, not a finite number")
        elif isinstance(item, (bool, int, float, str)):
            kept[key] = item
    return kept


def loss_csv(rows: Iterable[dict[str, str]], initial_loss: float) -> str:
    """Return metrics/plots/loss.csv from the rows of the training log: one line per validation.

    The first line is the validation before training. `train_loss` is the mean over the steps since the previous line,
    so that every other line has both losses: DVC's templates break a curve at every blank.
    """
    lines: list[list[Any]] = [[0, 0, "", initial_loss]]
    since_last: list[float] = []
    for row in rows:
        if row["train_loss"]:
            since_last.append(float(row["train_loss"]))
        if row["validation_loss"]:
            train_loss = f"{math.fsum(since_last) / len(since_last):.6f}" if since_last else ""
            lines.append([row["step"], row["epoch"], train_loss, row["validation_loss"]])
            since_last = []
    return _csv(["step", "epoch", "train_loss", "validation_loss"], lines)


def categories_csv(judged: dict[str, Any]) -> str:
    """Return metrics/plots/categories.csv: rows, mean scores and shares of exact answers per category, by name.

    In a name, `<` and control characters are spelled out: DVC writes the data of a plot into a script of its page as
    they are, so that `</script>` would end it.
    """
    columns = ["n", "base", "finetuned", "base_exact", "finetuned_exact"]
    lines = [
        [_plot_name(name), *map(_rounded, map(scores.get, columns))]
        for name, scores in sorted(judged["categories"].items())
    ]
    return _csv(["category", *columns], lines)


def scores_csv(base: Iterable[float], finetuned: Iterable[float]) -> str:
    """Return metrics/plots/scores.csv: how many answers of each model are in each range of ten points."""
    counts = zip(histogram(base), histogram(finetuned), strict=True)
    return _csv(
        ["score", "base", "finetuned"],
        [[f"{10 * index}-{10 * index + 10}", *pair] for index, pair in enumerate(counts)],
    )


def length_csv(answers: Iterable[tuple[int, float]]) -> str:
    """Return metrics/plots/length.csv: length in tokens and score of each answer of the fine-tuned model."""
    return _csv(["response_tokens", "score"], [[tokens, f"{score:.2f}"] for tokens, score in answers])


def histogram(scores: Iterable[float]) -> list[int]:
    """Count scores of 0..100 in ten ranges of ten points; a bound belongs to the upper range, 100 to the last."""
    counts = [0] * HISTOGRAM_BINS
    for score in scores:
        counts[min(int(score / 100 * HISTOGRAM_BINS), HISTOGRAM_BINS - 1)] += 1
    return counts


def _plot_name(name: str) -> str:
    return str(visible(name)).replace("<", "⟨U+003C⟩")


def _rounded(value: float | None) -> float | str:
    return "" if value is None else round(value, 4)


def _csv(header: list[str], lines: list[list[Any]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([header, *lines])
    return text.getvalue()
