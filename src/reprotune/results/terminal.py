"""The short table at the end of `make repro`: the scores with their uncertainty, the loss, the time of each stage."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich import box
from rich.table import Table

from reprotune.console import TIMINGS_DIRECTORY
from reprotune.pipeline.dvc_yaml import stage_names
from reprotune.results.words import error_words

METRICS = Path("metrics")
REPORT = Path("data/report/index.html")
REMEDY = "not measured yet: run `dvc repro`"


def summary_table(root: Path) -> Table:
    """Return the table for the repository at `root`; it says in words what is missing."""
    table = Table(box=box.ROUNDED, show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    for name, value in [*_score_lines(root), *_loss_lines(root)]:
        table.add_row(name, value)
    table.add_section()
    timings = read_timings(root)
    table.add_row("Time per stage", "of the latest run on this machine" if timings else "no stage has run here yet")
    for stage, seconds in timings:
        table.add_row(f"  {stage}", duration(seconds), style="not bold")
    table.add_section()
    table.add_row("Report", str(REPORT) if (root / REPORT).is_file() else f"{REPORT} is missing: run `dvc repro`")
    return table


def read_timings(root: Path) -> list[tuple[str, float]]:
    """Return the wall time in seconds of each stage's latest finished run on this machine, in the order of dvc.yaml.

    A stage that DVC restored from its cache keeps the time of its last run here, or has none.
    """
    seconds = {}
    for path in sorted((root / TIMINGS_DIRECTORY).glob("*.json")):
        timing = json.loads(path.read_text(encoding="utf-8"))
        seconds[timing["stage"]] = float(timing["seconds"])
    return [(stage, seconds[stage]) for stage in stage_names(root) if stage in seconds] if seconds else []


def duration(seconds: float) -> str:
    """Return a duration in words: `4.2 s`, `3 min 20 s`, `2 h 05 min`."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes = round(seconds) // 60
    if minutes < 60:
        return f"{minutes} min {round(seconds) % 60:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def _score_lines(root: Path) -> Iterator[tuple[str, str]]:
    scores = _read(root / METRICS / "scores.json")
    for key, name in (("base", "Base score"), ("finetuned", "Fine-tuned score"), ("difference", "Paired difference")):
        sign = "+" if key == "difference" else ""
        yield name, _with_interval(scores.get(key, {}), sign)
    if "method" in scores:
        yield "Scored by", scores["method"]


def _with_interval(numbers: dict[str, Any], sign: str) -> str:
    if "score" not in numbers:
        return REMEDY
    text = f"{numbers['score']:{sign}.1f}"
    if "ci95_low" in numbers and "ci95_high" in numbers:
        text += f"   95 % interval {numbers['ci95_low']:{sign}.1f} to {numbers['ci95_high']:{sign}.1f}"
    errors = error_words(numbers)
    return f"{text}   n = {numbers['n']}" + (f"\n{errors}" if errors else "")


def _loss_lines(root: Path) -> Iterator[tuple[str, str]]:
    training = _read(root / METRICS / "training.json")
    if not training:
        yield "Validation loss", REMEDY
        return
    initial, best = training["initial"]["validation_loss"], training["best"]["validation_loss"]
    yield "Validation loss", f"{initial:.3f} -> {best:.3f}   best at step {training['best']['step']}"


def _read(path: Path) -> dict[str, Any]:
    """Return the content of a metrics file; empty if it is missing."""
    if not path.is_file():
        return {}
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content
