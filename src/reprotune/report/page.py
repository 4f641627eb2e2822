"""The report: what one run of the pipeline came to, as one HTML page."""

from pathlib import Path
from typing import Any

from reprotune.pages.html import STATUS_WORDS, category_choices, render_page
from reprotune.pages.plots import length_plot, loss_plot, score_bars
from reprotune.params.document import Document
from reprotune.params.values import flattened
from reprotune.report.judge_facts import health_facts, pair_facts
from reprotune.report.publish import histogram
from reprotune.results.read import MODELS, Results, pick_examples
from reprotune.results.words import data_table, words

TEMPLATE = Path(__file__).with_name("report.html.jinja")
SUMMARY_TITLES = {"raw": "Source", "split": "Split", "formatted": "Format", "tokens": "Tokens"}


def render_report(results: Results, speed: dict[str, Any], params: Document) -> str:
    """Return the page as HTML text."""
    categories = results.judged["categories"]
    return render_page(
        TEMPLATE,
        params=params,
        flat_params=flattened(params.model_dump()),
        judged=results.judged,
        verdict=verdict(results.judged["difference"]),
        training=results.training,
        speed=flattened(speed, name=words),
        loss=loss_plot(results.loss, results.training["initial"]["validation_loss"]),
        bars=score_bars(*(histogram(results.scores(model)) for model in MODELS)),
        lengths=length_plot(*(results.lengths(model) for model in MODELS)),
        categories=sorted(categories.items(), key=lambda item: (-(item[1]["finetuned"] or 0.0), item[0])),
        statuses=_statuses(results.judged),
        health=health_facts(results.judged),
        pairs=pair_facts(results.judged),
        data_tables={SUMMARY_TITLES[stage]: data_table(summary) for stage, summary in results.summaries.items()},
        examples=pick_examples(results.rows),
        rows=results.rows,
        category_choices=category_choices(row.category for row in results.rows),
    )


def verdict(difference: dict[str, Any]) -> tuple[str, str]:
    """Return how the paired difference is to be read: `better`, `worse` or `noise`, and a phrase for it."""
    low, high = difference["ci95_low"], difference["ci95_high"]
    if low is None or high is None:
        return "noise", "cannot be told apart from the base model: too few rows were scored by both"
    if low > 0:
        return "better", "is clearly better than the base model"
    if high < 0:
        return "worse", "is clearly worse than the base model"
    return "noise", "differs from the base model by no more than noise"


def _statuses(judged: dict[str, Any]) -> list[tuple[str, list[int]]]:
    """Return how often each status was given, for base and fine-tuned, in the order of `STATUS_WORDS`."""
    counts = [judged[model].get("status", {}) for model in MODELS]
    return [
        (name, [count.get(status, 0) for count in counts])
        for status, name in STATUS_WORDS.items()
        if any(count.get(status) for count in counts)
    ]
