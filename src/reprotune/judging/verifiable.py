"""Figures that need no judge, of rows that carry checks: how many answers comply, and what trivial ones would get.

Strict takes the answer as it is. Loose takes whatever of eight variants complies: with or without the first line, the
last one and asterisks, which are how models introduce, end and emphasise an answer. (After Zhou et al. 2023, whose
instructions these are not.)
"""

from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

from reprotune.artifacts import MODELS, RECORD_SCHEMAS, read_table, schema_of
from reprotune.dataset.checks import Check, parsed_checks
from reprotune.errors import UserError
from reprotune.judging.answers import Answer
from reprotune.judging.opponents import asked
from reprotune.statistics.intervals import mean, wilson_interval
from reprotune.statistics.paired import paired_test

ECHO, EMPTY = "echo", "empty"
"""Trivial answers: the prompt itself, and no text."""


class CheckedAnswer(NamedTuple):
    """One answer to one row, with its checks."""

    id: str
    model: str
    """One of `MODELS`, `ECHO` and `EMPTY`."""
    kinds: tuple[str, ...]
    strict: tuple[bool, ...]
    """Of each check."""
    loose: tuple[bool, ...]


def read_checks(records_path: Path) -> dict[str, list[Check]]:
    """Return the checks of the rows that have any, by id; raises `UserError` if a row's cannot be read."""
    schema = schema_of(records_path, *RECORD_SCHEMAS)
    if "checks" not in schema.names:
        return {}
    found = {}
    for row in read_table(records_path, schema).select(["id", "checks"]).to_pylist():
        try:
            checks = parsed_checks(row["checks"])
        except ValueError as error:
            raise UserError(f"{records_path}: row {row['id']}: {error}: run `dvc repro` to rebuild it") from error
        if checks:
            found[row["id"]] = checks
    return found


def check_answers(answers: Sequence[Answer], checks: dict[str, list[Check]]) -> list[CheckedAnswer]:
    """Check every answer to a row with checks, and the trivial ones; by model, then in the order of the ids."""
    rows = [answer for answer in answers if answer.id in checks]
    once = {answer.id: answer for answer in rows}.values()
    texts = [(answer.model, answer, answer.item.response) for answer in rows]
    texts += [(ECHO, answer, asked(answer.item.instruction, answer.item.input)) for answer in once]
    texts += [(EMPTY, answer, "") for answer in once]
    return [_checked(answer.id, model, text, checks[answer.id]) for model, answer, text in texts]


def _checked(identifier: str, model: str, text: str, checks: Sequence[Check]) -> CheckedAnswer:
    others = loosened(text)
    strict = tuple(check.holds(text) for check in checks)
    loose = tuple(any(check.holds(variant) for variant in others) for check in checks)
    return CheckedAnswer(identifier, model, tuple(check.kind for check in checks), strict, loose)


def loosened(text: str) -> list[str]:
    """Return the text and its variants without the first line, the last one and asterisks, eight in all."""
    lines = text.strip().split("\n")
    cut = {(first, last): "\n".join(lines[first : len(lines) - last]) for first, last in product((0, 1), repeat=2)}
    return [variant for kept in cut.values() for variant in (kept, kept.replace("*", ""))]


def checked_rows(checked: Sequence[CheckedAnswer]) -> list[dict[str, Any]]:
    """Return the rows of the table `CHECKED`; no text complies with nothing, so it has none."""
    return [
        {"id": row.id, "model": row.model, "place": place, "kind": kind, "strict": strict, "loose": loose}
        for row in checked
        if row.model != EMPTY
        for place, (kind, strict, loose) in enumerate(zip(row.kinds, row.strict, row.loose, strict=True))
    ]


def summarise_checks(checked: Sequence[CheckedAnswer], seed: int) -> dict[str, Any]:
    """Return the four figures of each model and of the trivial answers, the paired difference, and shares by kind.

    Shares of rows (all checks hold) and of checks, each strict and loose. Ready for JSON; at least one row is needed.
    """
    by_model = {model: [row for row in checked if row.model == model] for model in (*MODELS, ECHO, EMPTY)}
    base, finetuned = (by_model[model] for model in MODELS)
    return {
        "n": len(finetuned),
        "n_checks": sum(len(row.kinds) for row in finetuned),
        **{model: _figures(rows) for model, rows in by_model.items()},
        "difference": _difference(base, finetuned, seed),
        "kinds": {
            kind: {
                "n": sum(row.kinds.count(kind) for row in finetuned),
                **{model: _share_of_kind(by_model[model], kind) for model in (*MODELS, ECHO)},
            }
            for kind in sorted({kind for row in finetuned for kind in row.kinds})
        },
    }


def _figures(rows: Sequence[CheckedAnswer]) -> dict[str, float | None]:
    complying = [float(all(row.strict)) for row in rows]
    low, high = wilson_interval(sum(complying), len(complying)) or (None, None)
    return {
        "rows_strict": mean(complying),
        "rows_strict_low": low,
        "rows_strict_high": high,
        "rows_loose": mean([float(all(row.loose)) for row in rows]),
        "checks_strict": mean([float(held) for row in rows for held in row.strict]),
        "checks_loose": mean([float(held) for row in rows for held in row.loose]),
    }


def _difference(base: Sequence[CheckedAnswer], finetuned: Sequence[CheckedAnswer], seed: int) -> dict[str, Any]:
    """Return fine-tuned minus base in strict rows, and the verdict."""
    before = {row.id: float(all(row.strict)) for row in base}
    test = paired_test([(before[row.id], float(all(row.strict))) for row in finetuned], seed, 1.0)
    return {
        "rows_strict": test.difference,
        "ci95_low": test.ci95_low,
        "ci95_high": test.ci95_high,
        "p_value": test.p_value,
        "verdict": test.verdict,
    }


def _share_of_kind(rows: Sequence[CheckedAnswer], kind: str) -> float | None:
    found = [float(held) for row in rows for one, held in zip(row.kinds, row.strict, strict=True) if one == kind]
    return mean(found)
