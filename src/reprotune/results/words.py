"""How the report words keys, numbers and untrusted text."""

from typing import Any

from reprotune.params.values import flattened

SPLITS = ("train", "validation", "test")
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
        elif value and set(value) <= set(SPLITS):
            per_split[words(key)] = value
        else:
            single |= {f"{words(key)}: {name}": item for name, item in flattened(value, ": ", words).items()}
    return list(single.items()), [(name, [row.get(split) for split in SPLITS]) for name, row in per_split.items()]


def _in_reading_order(summary: dict[str, Any]) -> dict[str, Any]:
    def rank(key: str) -> tuple[int, str]:
        return (READING_ORDER.index(key) if key in READING_ORDER else len(READING_ORDER), key)

    items = ((key, summary[key]) for key in sorted(summary, key=rank))
    return {key: _in_reading_order(value) if isinstance(value, dict) else value for key, value in items}


def words(key: str) -> str:
    """Return a key in words: `padding_share` -> `padding share`; text that is no key stays as it is."""
    return KEY_WORDS.get(key, key.replace("_", " ") if key.isidentifier() else key)


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
