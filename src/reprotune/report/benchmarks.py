"""The part of the report on benchmarks: tables whose cells are words, each ending in its trivial answers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reprotune.artifacts import MODELS
from reprotune.multiple_choice.figures.accuracy import NEAR_TIE, Figures, subject_figures
from reprotune.multiple_choice.figures.measured import Measured
from reprotune.results.benchmark_words import (
    ACCURACY_WORDS,
    RETENTION_WORDS,
    TRIVIAL_WORDS,
    below_constant,
    bits,
    matched_words,
    percent,
)
from reprotune.results.read import Results

Line = tuple[str, Sequence[str]]
"""The name of a row, and its cells."""

MOST_POSITIONS = 26


@dataclass(frozen=True)
class BenchmarkTable:
    """Rows under headings; `trivial` rows close the table and are set off from it."""

    title: str
    note: str
    head: Sequence[str]
    """Of all columns."""
    lines: Sequence[Line]
    trivial: Sequence[Line] = ()


@dataclass(frozen=True)
class Benchmark:
    """One formulation of the benchmark, or the loss on plain text."""

    title: str
    sentences: Sequence[str]
    tables: Sequence[BenchmarkTable]


def benchmarks(results: Results) -> list[Benchmark]:
    """Return what the page shows of benchmarks and retention; empty where there are none."""
    found = [_formulation(results.measured, name, figures) for name, figures in results.figures.items()]
    return found + ([_retention(results.retention)] if results.retention else [])


def _formulation(measured: Measured, name: str, figures: Figures) -> Benchmark:
    change = figures["difference"]
    interval = f"{percent(change['ci95_low'], '+')} to {percent(change['ci95_high'], '+')}"
    difference = f"Fine-tuned against base: {percent(change['accuracy'], '+')} points, 95 % interval {interval}; "
    below = below_constant(figures)
    tables = [_figures_table(figures), _positions_table(name, figures)]
    tables.append(_rates_table("By subject", "Subject", subject_figures(measured.asked[name]), figures))
    if figures["groups"]:
        tables.append(_rates_table("By group of subjects", "Group", figures["groups"], figures))
    sentences = [f"{difference}{matched_words(change)}.", f"{below[0].upper()}{below[1:]}." if below else ""]
    return Benchmark(f"{measured.task}, {name}", list(filter(None, sentences)), tables)


def _figures_table(figures: Figures) -> BenchmarkTable:
    base, finetuned = (figures[model] for model in MODELS)
    lines: list[Line] = [(ACCURACY_WORDS["accuracy"], [_with_interval(found) for found in (base, finetuned)])]
    lines += [
        (words, [percent(base[key]), percent(finetuned[key])])
        for key, words in ACCURACY_WORDS.items()
        if key != "accuracy" and base[key] is not None
    ]
    lines.append(("standard error", [_errors(found) for found in (base, finetuned)]))
    lines.append(("Brier score, 0 (best) to 2", [f"{found['brier']:.3f}" for found in (base, finetuned)]))
    lines.append(
        (f"near-ties (less than {NEAR_TIE:g} nats)", [f"{found['near_ties']:,}" for found in (base, finetuned)])
    )
    lines.append(("prompts that were cut", [f"{found['cut_prompts']:,}" for found in (base, finetuned)]))
    return BenchmarkTable(
        title="Figures",
        note=f"{figures['items']:,} items, in percent; the first row takes the choice with the largest sum of "
        "log-probabilities. The last rows are what answers get that read no question.",
        head=["Figure", "Base", "Fine-tuned"],
        lines=lines,
        trivial=_trivial(figures),
    )


def _trivial(figures: Figures, before: int = 0) -> list[Line]:
    return [(words, [""] * before + [percent(figures["trivial"][key])] * 2) for key, words in TRIVIAL_WORDS.items()]


def _with_interval(
    found: Mapping[str, Any], name: str = "accuracy", low: str = "ci95_low", high: str = "ci95_high"
) -> str:
    if found[low] is None:
        return percent(found[name])
    return f"{percent(found[name])} ({percent(found[low])} to {percent(found[high])})"


def _errors(found: Figures) -> str:
    clustered = found["stderr_clustered"]
    return percent(found["stderr"]) + (f", with repeats {percent(clustered)}" if clustered is not None else "")


def _positions_table(formulation: str, figures: Figures) -> BenchmarkTable:
    letters = formulation.startswith("letters")
    sides = [figures["trivial"]["position_shares"], *(figures[model]["position_shares"] for model in MODELS)]
    places = list(sides[0])
    lines = [
        (chr(ord("A") + int(place) - 1) if letters else place, [percent(side[place]) for side in sides])
        for place in places[:MOST_POSITIONS]
    ]
    more = f" {len(places) - len(lines)} more are not shown." if len(places) > len(lines) else ""
    return BenchmarkTable(
        title="Letters chosen" if letters else "Positions chosen",
        note="Share of the items, in percent. A model that prefers one whatever is asked still has a plausible "
        f"figure.{more}",
        head=["Letter" if letters else "Position", "Right", "Base", "Fine-tuned"],
        lines=lines,
    )


def _rates_table(title: str, first: str, rates: Mapping[str, Figures], figures: Figures) -> BenchmarkTable:
    lines = [
        (name, [f"{found['n']:,}", *(_with_interval(found, m, f"{m}_low", f"{m}_high") for m in MODELS)])
        for name, found in rates.items()
    ]
    return BenchmarkTable(
        title=title,
        note="Right answers in percent, with 95 % intervals. Among many rows some look good or bad by chance.",
        head=[first, "Items", "Base", "Fine-tuned"],
        lines=lines,
        trivial=_trivial(figures, before=1),
    )


def _retention(figures: Mapping[str, Any]) -> Benchmark:
    base, finetuned, change = (figures[name] for name in (*MODELS, "difference"))
    words = RETENTION_WORDS[change["verdict"]]
    lines: list[Line] = [
        (
            "bits per byte",
            [bits(found["bits_per_byte"]) for found in (base, finetuned)] + [bits(change["bits_per_byte"], "+")],
        ),
        ("95 % interval", [_bits_interval(base), _bits_interval(finetuned), _bits_interval(change, "+")]),
        ("standard error", [bits(found["stderr"]) for found in (base, finetuned, change)]),
    ]
    p_value = "" if change["p_value"] is None else f" (p {change['p_value']:.2g})"
    return Benchmark(
        title="Retention",
        sentences=[f"Plain text that fine-tuning did not see: {words}{p_value}."],
        tables=[
            BenchmarkTable(
                title="Loss on plain text",
                note=f"{change['n']:,} documents, compared one by one; lower is better.",
                head=["Figure", "Base", "Fine-tuned", "Difference"],
                lines=lines,
            )
        ],
    )


def _bits_interval(found: Mapping[str, Any], sign: str = "") -> str:
    if found["ci95_low"] is None:
        return "–"
    return f"{bits(found['ci95_low'], sign)} to {bits(found['ci95_high'], sign)}"
