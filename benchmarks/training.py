"""Training side by side: this project, the book chapter's script, TRL; same rows, same weights, same steps.

    pip install trl                                     # beside the project's own environment
    git clone https://github.com/rasbt/LLMs-from-scratch
    python benchmarks/training.py --chapter LLMs-from-scratch [--size gpt2-medium] [--output FILE.json]

Run it on an idle machine. `--tune-trl` first tries TRL's ways of batching and takes the fastest. `--grow` measures how
this project's rate, memory and share of the ceiling grow with rows per step, row length and model size.
`--checkpointing` adds a run with activation checkpointing: what the saved memory costs.
"""

import argparse
import importlib.util
import json
import statistics
import sys
from pathlib import Path
from typing import Any

import numpy as np
from contenders.train_trl_variants import VARIANTS
from side_by_side.machine import describe, sentence
from side_by_side.rounds import ContenderError, markdown_table, median_ratio, run_contender
from side_by_side.workload import (
    DATA,
    Rows,
    chapter_rows,
    flops_per_token,
    random_model,
    real_model,
    training_task,
)

from reprotune.dataset.order import epoch_order

Results = dict[str, list[dict[str, Any]]]


def main() -> None:
    options = parse_options()
    report = grow(options) if options.grow else compare(options)
    print(report.pop("markdown"))
    if options.output:
        options.output.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


def compare(options: argparse.Namespace) -> dict[str, Any]:
    """Let the contenders train the chapter's first batches in turns."""
    model = real_model(options.model) if options.model else random_model(options.size)
    name = options.model.name if options.model else options.size
    rows, _ = chapter_rows(options.data, model)
    order = epoch_order(123, 0, len(rows))
    steps = options.warmup + options.steps
    batches = [order[8 * step : 8 * step + 8].tolist() for step in range(steps)]
    task = training_task(model, rows, batches, options.warmup, responses_only=options.responses_only)
    contenders: dict[str, tuple[str, dict[str, Any]]] = {"reprotune": ("train_reprotune", task)}
    if options.checkpointing:
        contenders["checkpointing"] = ("train_reprotune", task | {"params": {"activation_checkpointing": True}})
    if options.chapter:
        contenders["chapter"] = ("train_chapter", task | {"chapter": str(options.chapter.resolve())})
    if importlib.util.find_spec("trl"):
        variant = tuned_variant(task) if options.tune_trl else options.trl_variant
        contenders["trl"] = ("train_trl", task | {"variant": variant})
    else:
        print("trl is not installed: left out (pip install trl)", file=sys.stderr)
    results: Results = {name: [] for name in ["ceiling", *contenders]}
    for number in range(options.rounds):
        tokens = round(sum(len(p) + len(r) - 1 for p, r in rows) / len(rows) * 8)
        results["ceiling"].append(run_contender("ceiling", {"model": task["model"], "tokens": tokens}))
        for key, (module, its_task) in contenders.items():
            results[key].append(run_contender(module, its_task))
            print(f"round {number + 1}, {key}: {results[key][-1]['tokens_per_second']:.0f} tokens/s", file=sys.stderr)
    learned = sum(len(response) for _, response in rows) / sum(len(p) + len(r) - 1 for p, r in rows)
    per_token = flops_per_token(model, learned if options.responses_only else 1)
    markdown = compared(results, name, per_token, "tokens" if options.responses_only else "trained tokens")
    return {"model": name, "machine": describe(), "results": results, "markdown": markdown}


def tuned_variant(task: dict[str, Any]) -> str:
    """Try each of TRL's variants for a few steps; returns the fastest name and prints all."""
    short = task | {"batches": task["batches"][: task["warmup"] + 3]}
    rates = {}
    for variant in VARIANTS:
        try:
            result = run_contender("train_trl", short | {"variant": variant})
        except ContenderError as error:
            print(f"TRL, {variant}: does not run here ({error})", file=sys.stderr)
            continue
        rates[variant] = result["tokens_per_second"]
        print(f"TRL, {variant}: {rates[variant]:.0f} tokens/s, losses {result['losses'][:3]}", file=sys.stderr)
    return max(rates, key=lambda name: rates[name])


def compared(results: Results, model: str, per_token: float, counted: str) -> str:
    """Return the table: medians over rounds, and ratios round by round. `counted` names the tokens of the rates."""
    machine = results["ceiling"][0]["machine"]
    best = [max(entry["flops"].values()) for entry in results["ceiling"]]
    lines = []
    for name, entries in results.items():
        if name == "ceiling":
            continue
        rates = [entry["tokens_per_second"] for entry in entries]
        first = entries[0]
        computed = 1 - first["spared_share"]
        share = statistics.median(rate * computed * per_token / peak for rate, peak in zip(rates, best, strict=True))
        ours = [entry["tokens_per_second"] for entry in results["reprotune"]]
        apart = np.abs(np.array(first["losses"][:10]) - np.array(results["reprotune"][0]["losses"][:10])).max()
        comparable = name != "trl" or "packed" not in first["name"]
        lines.append(
            [
                first["name"],
                f"{statistics.median(rates):.0f}",
                "1" if name == "reprotune" else median_ratio(ours, rates),
                f"{share:.0%}",
                f"{statistics.median(entry['peak_memory_mb'] for entry in entries) / 1000:.1f}",
                f"{first['padding_share']:.0%}",
                f"{first['spared_share']:.0%}",
                f"{first['losses'][0]:.3f} -> {first['losses'][-1]:.3f}",
                f"{apart:.3f}" if comparable else "other batches",
            ]
        )
    header = ["trainer", f"{counted}/s", "reprotune is faster by", "share of ceiling", "peak memory (GB)"]
    header += ["padding", "shared", "loss, first -> last step", "largest difference of 10 losses"]
    rates_of = {
        name: statistics.median(entry["flops"][name] for entry in results["ceiling"]) / 1e9
        for name in results["ceiling"][0]["flops"]
    }
    ceiling = ", ".join(f"{name} {rate:.0f} GFLOP/s" for name, rate in rates_of.items())
    return (
        f"### Training, {model}\n\n{markdown_table(header, lines)}\n\n"
        f"Ceiling: matrix products alone, {ceiling}. A token counts {per_token / 1e9:.2f} GFLOP, a shared one "
        "(the beginning that the rows of a step have in common, computed once) nothing.\n"
        f"{sentence(machine)}."
    )


def grow(options: argparse.Namespace) -> dict[str, Any]:
    """Measure this project's trainer over rows per step, row length and model size."""
    rows, _ = chapter_rows(options.data, random_model(options.sizes[0]))
    generator = np.random.default_rng(0)
    cases: list[tuple[str, str, Rows, int]] = []
    for size in options.sizes:
        cases += [("chapter", size, rows, count) for count in (4, 8, 16, 32)]
        for length in (64, 256, 1024):
            ids = generator.integers(0, 50000, (8, length + 1)).tolist()
            cases.append((str(length), size, [([], row) for row in ids], max(1, 1024 // length)))
    lines: list[list[str]] = []
    results = []
    for kind, size, these, count in cases:
        steps = options.warmup + 3
        batches = [[(step * count + place) % len(these) for place in range(count)] for step in range(steps)]
        model = random_model(size)
        result = run_contender("train_reprotune", training_task(model, these, batches, options.warmup))
        tokens = round(result["trained_tokens"] / 3)
        ceiling = run_contender("ceiling", {"model": str(model), "tokens": tokens})
        rate = result["tokens_per_second"]
        computed = rate * (1 - result["spared_share"]) * flops_per_token(model)
        share = computed / max(ceiling["flops"].values())
        results.append({"size": size, "row": kind, "rows_per_step": count, "share": share, **result})
        memory = result["peak_memory_mb"] / 1000
        lines.append([size, kind, str(count), str(tokens), f"{rate:.0f}", f"{share:.0%}", f"{memory:.1f}"])
        print(lines[-1], file=sys.stderr)
    header = ["size", "tokens of a row", "rows a step", "tokens a step", "trained tokens/s", "share of ceiling"]
    table = markdown_table([*header, "peak memory (GB)"], lines)
    markdown = f"### Training, growth\n\n{table}\n\n{sentence(describe())}."
    return {"machine": describe(), "results": results, "markdown": markdown}


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="gpt2", help="gpt2, gpt2-medium, gpt2-large, gpt2-xl or miniature")
    parser.add_argument("--model", type=Path, help="a checkpoint folder or GGUF file instead of random weights")
    parser.add_argument("--data", type=Path, default=DATA, help="the book's instruction-data.json")
    parser.add_argument("--chapter", type=Path, help="a clone of rasbt/LLMs-from-scratch")
    parser.add_argument("--responses-only", action="store_true", help="learn from responses, not from whole rows")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=8, help="counted steps of 8 rows")
    parser.add_argument("--warmup", type=int, default=2, help="steps before, not counted")
    parser.add_argument("--trl-variant", choices=VARIANTS, default="bf16 padding-free")
    parser.add_argument("--tune-trl", action="store_true", help="take the fastest of TRL's variants")
    parser.add_argument("--checkpointing", action="store_true", help="also run with activation checkpointing")
    parser.add_argument("--grow", action="store_true", help="measure growth instead of comparing")
    parser.add_argument("--sizes", nargs="+", default=["gpt2"], help="model sizes for --grow")
    parser.add_argument("--output", type=Path, help="write the figures as JSON")
    options = parser.parse_args()
    if options.model and options.chapter:
        parser.error("the chapter's script knows GPT-2 alone: leave out --chapter or --model")
    if options.responses_only and options.chapter:
        parser.error("the chapter's script learns from whole rows: leave out --chapter or --responses-only")
    return options


if __name__ == "__main__":
    main()
