"""The report: one HTML page without network, scripts of others or times, so a rerun gives the same bytes.

All text of users and models passes through Jinja's autoescape and `visible`; a content security policy that admits
the page's own script alone stands behind that.
"""

import base64
import hashlib
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from reprotune.params.document import Document
from reprotune.review.publish import histogram
from reprotune.review.report_data import MODELS, Results, pick_examples
from reprotune.review.report_plots import loss_plot, score_bars

PAGE = Path(__file__).with_name("page")
SPLITS = ("train", "validation", "test")
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
KEY_WORDS = {
    "reasons": "rejected because",
    "sha256": "SHA-256",
    "peak_memory_mb": "peak memory (MB)",
    "p25": "25 %",
    "p75": "75 %",
    "p95": "95 %",
    "p99": "99 %",
}
READING_ORDER = (
    "rows",
    "records",
    "rejected",
    "reasons",
    "template",
    "response_header",
    "rows_with_marker",
    "tokens",
    "trained_token_share",
    "length",
    "min",
    "p25",
    "median",
    "p75",
    "p95",
    "p99",
    "max",
)
"""Keys of summaries in the order in which they are read; all others follow by name."""

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
    return (
        _environment()
        .get_template("report.html.jinja")
        .render(
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


def data_table(summary: dict[str, Any]) -> tuple[list[tuple[str, Any]], list[tuple[str, list[Any]]]]:
    """Divide a stage's summary into single values and values per split (train, validation, test), labelled.

    A summary names the splits at its top (`train: {rows: ...}`) or below a count (`rows: {train: ...}`).
    """
    single: dict[str, Any] = {}
    per_split: dict[str, dict[str, Any]] = {}
    for key, value in _in_reading_order(summary).items():
        if not isinstance(value, dict):
            single[words(key)] = value
        elif key in SPLITS:
            for name, item in flattened(value, ": ", words).items():
                per_split.setdefault(name, {})[key] = item
        elif set(value) <= set(SPLITS):
            per_split[words(key)] = value
        else:
            single |= {f"{words(key)}: {name}": item for name, item in flattened(value, ": ", words).items()}
    return list(single.items()), [(name, [row.get(split) for split in SPLITS]) for name, row in per_split.items()]


def flattened(value: dict[str, Any], separator: str = ".", name: Callable[[str], str] = str) -> dict[str, Any]:
    """Return nested objects as one level of joined keys, each renamed by `name`."""
    flat: dict[str, Any] = {}
    for key, item in value.items():
        if isinstance(item, dict):
            inner = flattened(item, separator, name)
            flat |= {f"{name(key)}{separator}{rest}": leaf for rest, leaf in inner.items()}
        else:
            flat[name(key)] = item
    return flat


def _in_reading_order(summary: dict[str, Any]) -> dict[str, Any]:
    def rank(key: str) -> tuple[int, str]:
        return (READING_ORDER.index(key) if key in READING_ORDER else len(READING_ORDER), key)

    items = ((key, summary[key]) for key in sorted(summary, key=rank))
    return {key: _in_reading_order(value) if isinstance(value, dict) else value for key, value in items}


def words(key: str) -> str:
    """Return a key in words: `padding_share` -> `padding share`; text that is no key stays as it is."""
    return KEY_WORDS.get(key, key.replace("_", " ") if key.isidentifier() else key)


def visible(value: Any) -> Any:
    """Return text with control and direction-changing characters spelled out, e.g. `⟨U+202E⟩`; other values as is."""
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    return "".join(_spelled_out(character) if _is_hidden(character) else character for character in value)


def _is_hidden(character: str) -> bool:
    return unicodedata.category(character) in ("Cc", "Cf") and character not in "\n\t\u200c\u200d\u00ad"


def _spelled_out(character: str) -> str:
    return f"⟨U+{ord(character):04X}⟩"


def quantity(value: Any, name: str = "") -> str:
    """Return a number for reading: what is called a share in percent, thousands separated; other values as text."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (int, float)) and "share" in name:
        return f"{value:.1%}"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def points(value: float | None) -> str:
    """Return a score with one decimal."""
    return "–" if value is None else f"{value:.1f}"


def signed(value: float | None) -> str:
    """Return a difference of scores with its sign."""
    return "–" if value is None else f"{value:+.1f}".replace("-", "\N{MINUS SIGN}")


def _own_file(name: str) -> Markup:
    return Markup((PAGE / name).read_text(encoding="utf-8"))  # noqa: S704 - markup of this package, no user's text


def _statuses(judged: dict[str, Any]) -> list[tuple[str, list[int]]]:
    """Return how often each status was given, for base and fine-tuned, in the order of `STATUS_WORDS`."""
    counts = [judged[model].get("status", {}) for model in MODELS]
    return [
        (words, [count.get(status, 0) for count in counts])
        for status, words in STATUS_WORDS.items()
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
