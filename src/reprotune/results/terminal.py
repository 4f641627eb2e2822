"""The tables at the end of `make repro`: the scores with their uncertainty, what was found, the time of each stage."""

import os
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from reprotune.console import TIMINGS_DIRECTORY
from reprotune.errors import UserError
from reprotune.pipeline.dvc_yaml import DVC_YAML, stage_names
from reprotune.pipeline.plan import changes_since_run
from reprotune.results.benchmark_words import (
    RETENTION_WORDS,
    TRIVIAL_WORDS,
    below_constant,
    bits,
    matched_words,
    percent,
)
from reprotune.results.checks import check_sentence
from reprotune.results.documents import Part, PublishedScores, PublishedTraining, StageTime, read_checked
from reprotune.results.preference import PublishedPreference
from reprotune.results.published import read_published
from reprotune.results.repeats import repeats_tables
from reprotune.results.votes import comparison_title, verdict_sentence
from reprotune.results.words import opponent_words
from reprotune.training.checkout import read_checkout
from reprotune.untrusted import visible

METRICS = Path("metrics")
REPORT = Path("data/report/index.html")
REMEDY = "not measured yet: run `dvc repro`"
MODELS = {"base": "Base", "finetuned": "Fine-tuned", "difference": "Difference"}
"""Object in metrics/scores.json -> its name in the table."""

COMMIT_DIGITS = 8
SHOWN_FILES = 3
SHOWN_CHANGES = 3


class Timing(NamedTuple):
    """The latest finished run of a stage on this machine."""

    stage: str
    seconds: float
    """Wall time."""
    finished: datetime
    """In local time."""


def summary(root: Path) -> Group:
    """Return the tables for the project at `root`; they say in words what is missing.

    Raises `UserError` if `root` holds no project, or a file of its metrics cannot be read.
    """
    if not (root / DVC_YAML).is_file():
        raise UserError(f"there is no {DVC_YAML} here: run this from the folder that holds params.yaml")
    tables = (_scores_table(root), *repeats_tables(root), *_benchmark_tables(root), _facts_table(root))
    return Group(*_stale(root), *tables, _timings_table(root))


def read_timings(root: Path) -> list[Timing]:
    """Return the timings in the order of dvc.yaml.

    A stage that DVC restored from its cache keeps the time of its last run here, or has none.
    """
    found = {}
    for path in sorted((root / TIMINGS_DIRECTORY).glob("*.json")):
        timing = read_checked(path, StageTime, f"delete {path}")
        found[timing["stage"]] = Timing(
            timing["stage"], float(timing["seconds"]), datetime.fromtimestamp(path.stat().st_mtime).astimezone()
        )
    return [found[stage] for stage in stage_names(root) if stage in found] if found else []


def duration(seconds: float) -> str:
    """Return a duration in words: `4.2 s`, `3 min 20 s`, `2 h 05 min`."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes = round(seconds) // 60
    if minutes < 60:
        return f"{minutes} min {round(seconds) % 60:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def _stale(root: Path) -> Iterator[Text]:
    """Yield, where there are scores, why they are not those of what is there now; nothing where they are."""
    if not _metrics(root, "scores", PublishedScores):
        return
    try:
        changes = changes_since_run(root)
    except UserError as error:
        yield Text(visible(f"Whether these results are current cannot be told: {error}"), "bold yellow")
        return
    if changes:
        more = f"; and {len(changes) - SHOWN_CHANGES} more" if len(changes) > SHOWN_CHANGES else ""
        shown = f"{'; '.join(changes[:SHOWN_CHANGES])}{more}"
        yield Text(
            visible(f"Stale: these results were not made from the params, code and data here ({shown})."), "yellow"
        )
        yield Text("Run `dvc repro` for those of what is here.", "bold yellow")  # on a line of its own, to be copied


def _scores_table(root: Path) -> Table:
    table = Table(box=box.ROUNDED)
    table.add_column("", style="bold", no_wrap=True)
    for name in ("Score", "95 % interval", "Std. error", "by category", "Rows"):
        table.add_column(name, justify="right", no_wrap=True)
    scores = _metrics(root, "scores", PublishedScores)
    for key, name in MODELS.items():
        numbers = scores.get(key, {})
        sign = "+" if key == "difference" else ""
        if numbers.get("score") is None:
            table.add_row(name, "–", "–", "–", "–", "–")
            continue
        errors = (numbers.get(error) for error in ("stderr", "stderr_clustered"))
        shown = ["–" if error is None else f"{error:.2f}" for error in errors]
        rows = f"{numbers.get('n') or 0:,}"
        table.add_row(name, f"{numbers['score']:{sign}.1f}", _interval(numbers, sign), *shown, rows)
    return table


def _interval(numbers: dict[str, Any], sign: str) -> str:
    if numbers.get("ci95_low") is None or numbers.get("ci95_high") is None:
        return "–"
    return f"{numbers['ci95_low']:{sign}.1f} to {numbers['ci95_high']:{sign}.1f}"


def _benchmark_tables(root: Path) -> Iterator[Table]:
    """Yield the table of right answers and of the loss on plain text; nothing where neither was measured."""
    rows = list(_benchmark_rows(root))
    if not rows:
        return
    table = Table(box=box.ROUNDED)
    table.add_column("", style="bold", overflow="fold")
    for name in ("Base", "Fine-tuned", "Difference", "95 % interval"):
        table.add_column(name, justify="right", no_wrap=True)
    for name, *cells in rows:
        table.add_row(Text(visible(name)), *cells)
    yield table


def _benchmark_rows(root: Path) -> Iterator[tuple[str, ...]]:
    tasks, retention = _published(root)
    for name, found in tasks.items():
        own = (percent(found[model]["accuracy"]) for model in ("base", "finetuned"))
        change = found["difference"]
        yield f"{name.replace('.', ', ', 1)}, % right", *own, percent(change["accuracy"], "+"), _ends(change, percent)
        for key, words in TRIVIAL_WORDS.items():
            yield f"  {words}", *[percent(found["trivial"][key])] * 2, "", ""
    if retention:
        own = (bits(retention[model]["bits_per_byte"]) for model in ("base", "finetuned"))
        change = retention["difference"]
        yield "retention, bits per byte", *own, bits(change["bits_per_byte"], "+"), _ends(change, bits)


def _ends(change: dict[str, Any], words: Callable[[float | None, str], str]) -> str:
    if change.get("ci95_low") is None or change.get("ci95_high") is None:
        return "–"
    return f"{words(change['ci95_low'], '+')} to {words(change['ci95_high'], '+')}"


def _published(root: Path) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
    path = METRICS / "benchmark.json"
    return read_published(root / path, f"run `git checkout {path}`, or `dvc repro`")


def _facts_table(root: Path) -> Table:
    table = Table(box=box.ROUNDED, show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    for name, value in _facts(root):
        table.add_row(Text(visible(name)), Text(visible(value)))
    return table


def _facts(root: Path) -> Iterator[tuple[str, str]]:
    scores, training = _metrics(root, "scores", PublishedScores), _metrics(root, "training", PublishedTraining)
    if not scores:
        yield "Scores", REMEDY
    else:
        yield "Fine-tuned against base", scores["difference"]["verdict"]
        yield "Scored by", scores["method"]
        yield from _pairs(scores.get("pairwise", {}))
        if "checks" in scores:
            yield "Rows that comply with their checks", check_sentence(scores["checks"])
    tasks, retention = _published(root)
    for name, found in tasks.items():
        yield (
            name.replace(".", ", ", 1),
            "; ".join(filter(None, [matched_words(found["difference"]), below_constant(found)])),
        )
    if retention:
        yield "Retention", RETENTION_WORDS[retention["difference"]["verdict"]]
    if not training:
        yield "Validation loss", REMEDY
    else:
        initial, best = training["initial"]["validation_loss"], training["best"]["validation_loss"]
        yield "Validation loss", f"{initial:.3f} -> {best:.3f}, best at step {training['best']['step']:,}"
    for comparison in _metrics(root, "preference", PublishedPreference).get("comparisons", {}).values():
        yield f"Votes on {comparison_title(comparison)}", verdict_sentence(comparison)
    if (checkout := read_checkout(root)) is not None:
        changed = checkout.changed
        more = f" and {len(changed) - SHOWN_FILES} more" if len(changed) > SHOWN_FILES else ""
        note = f", not committed: {', '.join(changed[:SHOWN_FILES])}{more}" if changed else ""
        yield "Commit", f"{checkout.commit[:COMMIT_DIGITS]}{note}"
    yield "Report", str(REPORT) if (root / REPORT).is_file() else f"{REPORT} is missing: run `dvc repro`"
    if training:
        yield "Talk to it", "reprotune chat"


def _pairs(pairs: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield how often the fine-tuned model beats an opponent other than the base model, with which the score compares.

    Nothing where that was the base model.
    """
    if pairs.get("win_rate") is None or pairs.get("against", "base") == "base":
        return
    interval = f" ({pairs['ci95_low']:.1%} to {pairs['ci95_high']:.1%})" if "ci95_low" in pairs else ""
    yield f"Wins against {visible(opponent_words(pairs['against']))}", f"{pairs['win_rate']:.1%}{interval}"


def _timings_table(root: Path) -> Table | Text:
    timings = read_timings(root)
    if not timings:
        return Text("No stage has run on this machine yet.")
    table = Table(box=box.ROUNDED)
    table.add_column("Stage")
    table.add_column("Latest run here", justify="right")
    table.add_column("Finished")
    for stage, seconds, finished in timings:
        table.add_row(stage, duration(seconds), f"{finished:%Y-%m-%d %H:%M}")
    table.add_section()
    table.add_row("together", duration(sum(timing.seconds for timing in timings)), "")
    return table


def _metrics(root: Path, name: str, kind: type[Part]) -> dict[str, Any]:
    """Return the content of a metrics file; empty if it is missing."""
    path = METRICS / f"{name}.json"
    remedy = f"run `git checkout {path}`, or `dvc repro`"
    return read_checked(root / path, kind, remedy) if os.path.lexists(root / path) else {}
