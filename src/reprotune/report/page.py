"""The report: the results of one run of the pipeline as one HTML page."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from reprotune.artifacts import MODELS, NO_CATEGORY
from reprotune.pages.html import category_choices, render_page
from reprotune.pages.plots import length_plot, loss_plot, score_bars
from reprotune.params.document import Document
from reprotune.params.values import flattened
from reprotune.report.benchmarks import benchmarks
from reprotune.report.origin import origin_facts, origin_line
from reprotune.report.publish import histogram
from reprotune.results.checks import FIGURES, check_lines, kind_lines
from reprotune.results.read import Results, Row, pick_examples
from reprotune.results.words import (
    STATUS_WORDS,
    VERDICTS,
    data_table,
    error_words,
    pair_facts,
    scorer_words,
    words,
)

TEMPLATE = Path(__file__).with_name("report.html.jinja")
CHECKS_PART = "checks.html.jinja"
PREFERENCE_PART = "preference.html.jinja"
SUMMARY_TITLES = {"raw": "Source", "split": "Split", "formatted": "Format", "tokens": "Tokens"}
HEALTH_SHARES = {
    "canaries": "canaries scored as they should be",
    "canaries_reference": "the reference itself scores high",
    "canaries_foreign": "another row's reference scores low",
    "canaries_pair": "the reference beats another row's",
    "canaries_empty": "no text scores 0",
    "canaries_verbose": "saying it three times gains nothing",
    "canaries_injection": "an order to give 100 gains nothing",
    "weighted_share": "scores weighted by probabilities",
    "probability_mass": "probability of the legal scores",
}
HEALTH_NUMBERS = {
    "repeat_sd": "spread of repeated scores (points)",
    "length_correlation_base": "correlation of score and length, base",
    "length_correlation_finetuned": "correlation of score and length, fine-tuned",
}


def render_report(
    results: Results, speed: dict[str, Any], params: Document, lock_hash: str, preference: dict[str, Any] | None = None
) -> str:
    """Return the page as HTML text; `lock_hash` is the hash of data/judgements/metrics.json in dvc.lock.

    `preference` is what `report.preference.preference_section` returns.
    """
    measured = {key: value for key, value in speed.items() if key not in ("made_with", "trained")}
    return render_page(
        TEMPLATE,
        params=params,
        flat_params=flattened(params.model_dump()),
        judged=results.judged,
        verdict=verdict(results.judged["difference"]),
        errors=error_words(results.judged["difference"]),
        scorer=scorer_words(results.judged),
        origin=origin_line(speed),
        origin_facts=origin_facts(results, speed, lock_hash),
        lock_hash=lock_hash,
        training=results.training,
        speed=flattened(measured, ": ", words),
        loss=loss_plot(results.loss),
        bars=score_bars(*(histogram(results.scores(model)) for model in MODELS)),
        lengths=length_plot(*(results.lengths(model) for model in MODELS)),
        categories=category_lines(results.judged["categories"], results.rows),
        verdict_kinds={verdict: kind for verdict, (kind, _) in VERDICTS.items()},
        statuses=_statuses(results.judged),
        health=health_facts(results.judged["health"]),
        pairs=pair_facts(results.judged["pairwise"]),
        preference=preference,
        preference_part=PREFERENCE_PART,
        checks=results.judged.get("checks"),
        checks_part=CHECKS_PART,
        check_figures=FIGURES.values(),
        check_lines=check_lines,
        kind_lines=kind_lines,
        data_tables={SUMMARY_TITLES[stage]: data_table(summary) for stage, summary in results.summaries.items()},
        benchmarks=benchmarks(results),
        examples=pick_examples(results.rows),
        rows=results.rows,
        category_choices=category_choices(row.category for row in results.rows),
    )


def verdict(difference: dict[str, Any]) -> tuple[str, str]:
    """Return what the paired difference means, as `better`, `worse` or `noise`, and a phrase for it."""
    kind, phrase = VERDICTS[difference["verdict"]]
    return kind, f"{phrase} the base model"


def category_lines(
    categories: dict[str, Any], rows: Sequence[Row]
) -> list[tuple[str, dict[str, Any], str, int | None]]:
    """Return (name, what is measured, the name as rows have it, number of the first row), the best categories first.

    Rows without a category have none, and are listed under `NO_CATEGORY`.
    """
    first: dict[str, int] = {}
    for row in rows:
        first.setdefault(row.category or "", row.number)
    ranked = sorted(categories.items(), key=lambda item: (-(item[1]["finetuned"] or 0.0), item[0]))
    values = [name if name in first or name != NO_CATEGORY else "" for name, _ in ranked]
    return [(*item, value, first.get(value)) for item, value in zip(ranked, values, strict=True)]


def health_facts(health: dict[str, Any]) -> list[tuple[str, str]]:
    """Return what was measured about the judge, as (what, value)."""
    shares = [(name, f"{health[key]:.0%}") for key, name in HEALTH_SHARES.items() if health[key] is not None]
    return shares + [(name, f"{health[key]:.2f}") for key, name in HEALTH_NUMBERS.items() if health[key] is not None]


def _statuses(judged: dict[str, Any]) -> list[tuple[str, list[int]]]:
    """Return (words for a status, its counts for the base and the fine-tuned model), in the order of `STATUS_WORDS`."""
    counts = [judged[model].get("status", {}) for model in MODELS]
    return [
        (name, [count.get(status, 0) for count in counts])
        for status, name in STATUS_WORDS.items()
        if any(count.get(status) for count in counts)
    ]
