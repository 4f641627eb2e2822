"""The words for checks that need no judge: always beside what trivial answers would get."""

from typing import Any

ANSWERERS = {
    "base": "Base",
    "finetuned": "Fine-tuned",
    "echo": "The prompt itself as the answer",
    "empty": "No text",
}
FIGURES = {
    "rows_strict": "Rows",
    "rows_loose": "Rows, loosely",
    "checks_strict": "Checks",
    "checks_loose": "Checks, loosely",
}


def check_lines(checks: dict[str, Any]) -> list[tuple[str, list[str]]]:
    """Return (whose answers, the shares of `FIGURES`) for both models and both trivial answers."""
    return [(name, [_percent(checks[key][figure]) for figure in FIGURES]) for key, name in ANSWERERS.items()]


def kind_lines(checks: dict[str, Any]) -> list[tuple[str, list[str]]]:
    """Return (kind, number of checks and shares that comply strictly), by kind."""
    return [
        (kind, [f"{found['n']:,}", *(_percent(found[key]) for key in ("base", "finetuned", "echo"))])
        for kind, found in sorted(checks.get("kinds", {}).items())
    ]


def check_sentence(checks: dict[str, Any]) -> str:
    """Return in one sentence how many rows comply with all their checks."""
    shares = {key: _percent(checks[key]["rows_strict"]) for key in ANSWERERS}
    rows = f"{checks['n']:,} {'row' if checks['n'] == 1 else 'rows'}"
    return (
        f"fine-tuned {shares['finetuned']}, base {shares['base']}; the prompt itself would get {shares['echo']}, no "
        f"text {shares['empty']} ({rows})"
    )


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.1%}"
