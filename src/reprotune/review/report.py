"""The report: one HTML page without network, scripts of others or times, so a rerun gives the same bytes.

All text of users and models passes through Jinja's autoescape and `visible`; a content security policy that admits
the page's own script alone stands behind that.
"""

import base64
import hashlib
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from reprotune.params.document import Document
from reprotune.review.publish import histogram
from reprotune.review.report_data import MODELS, Results, pick_examples
from reprotune.review.report_plots import loss_plot, score_bars
from reprotune.review.report_text import data_table, flattened, points, quantity, signed, visible, words

PAGE = Path(__file__).with_name("page")
STATUS_WORDS = {
    "ok": "scored",
    "exact": "exact match",
    "empty": "empty answer",
    "refused": "judge refused",
    "unparsable": "no score in the reply",
    "truncated": "reply cut off",
    "error": "judge failed",
}
FINISH_WORDS = {"length": "stopped at the token limit", "no_room": "prompt fills the context"}
STATISTICS = {
    "exact_match": "exact match",
    "chrf": "chrF",
    "rouge_l": "ROUGE-L",
    "token_f1": "token F1",
    "repetition": "repetition",
    "length_ratio": "length ratio",
}
SUMMARY_TITLES = {"raw": "Source", "split": "Split", "formatted": "Format", "tokens": "Tokens"}


def render_report(results: Results, params: Document) -> str:
    """Return the page as HTML text."""
    style, script = (_own_file(name) for name in ("style.css", "script.js"))
    digest = hashlib.sha256(script.encode()).digest()
    categories = results.judged["categories"]
    template = _environment().get_template("report.html.jinja")
    return template.render(
        style=style,
        script=script,
        script_hash=f"sha256-{base64.b64encode(digest).decode()}",
        params=params,
        flat_params=flattened(params.model_dump()),
        judged=results.judged,
        verdict=verdict(results.judged["difference"]),
        training=results.training,
        speed=flattened(results.speed, name=words),
        loss=loss_plot(results.loss, results.training["initial"]["validation_loss"]),
        bars=score_bars(*(histogram(results.scores(model)) for model in MODELS)),
        categories=sorted(categories.items(), key=lambda item: (-(item[1]["finetuned"] or 0.0), item[0])),
        statuses=_statuses(results.judged),
        data_tables={SUMMARY_TITLES[stage]: data_table(summary) for stage, summary in results.summaries.items()},
        examples=pick_examples(results.rows),
        rows=results.rows,
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


def _own_file(name: str) -> Markup:
    return Markup((PAGE / name).read_text(encoding="utf-8"))  # noqa: S704 - markup of this package, no user's text


def _statuses(judged: dict[str, Any]) -> list[tuple[str, list[int]]]:
    """Return how often each status was given, for base and fine-tuned, in the order of `STATUS_WORDS`."""
    counts = [judged[model].get("status", {}) for model in MODELS]
    return [
        (name, [count.get(status, 0) for count in counts])
        for status, name in STATUS_WORDS.items()
        if any(count.get(status) for count in counts)
    ]


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(PAGE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=visible,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"quantity": quantity, "points": points, "signed": signed}
    environment.globals |= {"statistics": STATISTICS, "status_words": STATUS_WORDS, "finish_words": FINISH_WORDS}
    return environment
