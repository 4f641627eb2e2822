"""Decoding side by side: this project, transformers' batched `generate`, the book chapter's script.

    git clone https://github.com/rasbt/LLMs-from-scratch
    python benchmarks/decoding.py --chapter LLMs-from-scratch [--size gpt2-medium] [--output FILE.json]

The chapter's 110 test prompts, greedy, up to 256 new tokens. A model of the given shape, or the one that `--model`
names, is first taught the 110 answers by heart (minutes, once; kept in .reprotune/benchmarks), so that everybody writes
the same texts and stops where the answers do. Run it on an idle machine.
"""

import argparse
import json
import statistics
import sys
from pathlib import Path
from typing import Any

from side_by_side.machine import describe, sentence
from side_by_side.rounds import markdown_table, median_ratio, run_contender
from side_by_side.workload import DATA, SCRATCH, Rows, chapter_rows, random_model, real_model

from reprotune.dataset.tokenizers.load import load_tokenizer

LEARNING_RATE = 5e-4
LEARNING_RATES = {"gpt2-medium": 3e-4, "gpt2-large": 2e-4, "gpt2-xl": 1.5e-4}
"""For teaching, where it is another."""

WAYS: list[dict[str, Any]] = [
    *({"batch_size": size, "cache": "dynamic", "by_length": True} for size in (16, 32, 64, 110)),
    {"batch_size": 32, "cache": "dynamic", "by_length": False},
    {"batch_size": 32, "cache": "static", "by_length": True},
]
"""What `--tune` tries of transformers' `generate`."""


def main() -> None:
    options = parse_options()
    base = real_model(options.model) if options.model else random_model(options.size)
    name = options.model.name if options.model else options.size
    _, rows = chapter_rows(options.data, base)
    rows = rows[: options.prompts]
    model = base if options.untaught else taught_model(base, rows, LEARNING_RATES.get(name, LEARNING_RATE))
    ends = load_tokenizer(base).end_of_text
    task = {
        "model": str(model),
        "prompts": [prompt for prompt, _ in rows],
        "max_new_tokens": 256,
        "end_of_text": list(ends),
    }
    best = tuned(task, WAYS) if options.tune else WAYS[1]
    contenders: dict[str, tuple[str, dict[str, Any]]] = {
        "reprotune": ("decode_reprotune", task | {"precision": "auto", "batch_size": 64}),
        "reprotune fp32": ("decode_reprotune", task | {"precision": "fp32", "batch_size": 64}),
        "transformers": ("decode_transformers", task | best),
    }
    sample = sampled(rows, options.chapter_prompts)
    if options.chapter:
        some = {"prompts": [rows[index][0] for index in sample], "chapter": str(options.chapter.resolve())}
        contenders["chapter"] = ("decode_chapter", task | some)
    results: dict[str, list[dict[str, Any]]] = {name: [] for name in contenders}
    for number in range(options.rounds):
        for key, (module, its_task) in contenders.items():
            results[key].append(run_contender(module, its_task))
            print(f"round {number + 1}, {key}: {results[key][-1]['seconds']:.1f} s", file=sys.stderr)
    markdown = compared(results, rows, sample, name)
    print(markdown)
    if options.output:
        report = {"model": name, "machine": describe(), "sample": sample, "results": results}
        options.output.write_text(json.dumps(report) + "\n", encoding="utf-8")


def taught_model(base: Path, rows: Rows, learning_rate: float) -> Path:
    """Return a folder with a model that knows `rows` by heart; taught once."""
    folder = SCRATCH / f"taught-{base.name}-{len(rows)}"
    if not (folder / "model.safetensors").is_file():
        task = {"model": str(base), "rows": rows, "output": str(folder), "learning_rate": learning_rate}
        run_contender("teach", task)
    return folder


def tuned(task: dict[str, Any], ways: list[dict[str, Any]]) -> dict[str, Any]:
    """Try transformers' ways once each; returns the fastest and prints all."""
    seconds = []
    for way in ways:
        seconds.append(run_contender("decode_transformers", task | way)["seconds"])
        print(f"transformers, {way}: {seconds[-1]:.1f} s", file=sys.stderr)
    return ways[seconds.index(min(seconds))]


def sampled(rows: Rows, count: int) -> list[int]:
    """Every so-manieth row by length, from the middle of each part: their mean time stands for all."""
    by_length = sorted(range(len(rows)), key=lambda index: len(rows[index][0]) * len(rows[index][1]))
    return [by_length[int((part + 0.5) * len(rows) / count)] for part in range(count)]


def compared(results: dict[str, list[dict[str, Any]]], rows: Rows, sample: list[int], model: str) -> str:
    """Return the table: medians over rounds, ratios round by round, and how many texts agree."""
    reference = results["reprotune fp32"][0]["answers"]
    ours = [entry["seconds"] for entry in results["reprotune"]]
    lines = []
    for name, entries in results.items():
        whole = len(rows) / len(sample) if name == "chapter" else 1.0
        wanted = [reference[index] for index in sample] if name == "chapter" else reference
        seconds = [entry["seconds"] * whole for entry in entries]
        answers = entries[0]["answers"]
        tokens = sum(len(answer) + 1 for answer in answers) * whole
        same = sum(mine == other for mine, other in zip(answers, wanted, strict=True))
        lines.append(
            [
                entries[0]["name"],
                f"{statistics.median(seconds):.1f}",
                f"{statistics.median(tokens / second for second in seconds):.0f}",
                "1" if name == "reprotune" else median_ratio(seconds, ours),
                f"{statistics.median(entry['peak_memory_mb'] for entry in entries) / 1000:.1f}",
                f"{same} of {len(answers)}",
            ]
        )
    header = ["decoder", "seconds", "tokens/s", "reprotune is faster by", "peak memory (GB)"]
    table = markdown_table([*header, "texts equal to reprotune's in float32"], lines)
    by_heart = sum(answer == response[:-1] for answer, (_, response) in zip(reference, rows, strict=True))
    scaled = f" The chapter's time is that of {len(sample)} prompts, scaled." if "chapter" in results else ""
    return (
        f"### Decoding, {model}\n\n{table}\n\n{len(rows)} prompts, {sum(len(p) for p, _ in rows)} prompt tokens; "
        f"{by_heart} answers come out as taught.{scaled}\n{sentence(describe())}."
    )


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="gpt2", help="gpt2, gpt2-medium, gpt2-large, gpt2-xl or miniature")
    parser.add_argument("--model", type=Path, help="a checkpoint folder or GGUF file to teach, not random weights")
    parser.add_argument("--untaught", action="store_true", help="leave the model as it is")
    parser.add_argument("--data", type=Path, default=DATA, help="the book's instruction-data.json")
    parser.add_argument("--chapter", type=Path, help="a clone of rasbt/LLMs-from-scratch")
    parser.add_argument("--prompts", type=int, default=110, help="how many of the test rows")
    parser.add_argument("--chapter-prompts", type=int, default=5, help="how many prompts its script gets")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tune", action="store_true", help="take the fastest of transformers' ways")
    parser.add_argument("--output", type=Path, help="write the figures as JSON")
    options = parser.parse_args()
    if options.model and options.chapter:
        parser.error("the chapter's script knows GPT-2 alone: leave out --chapter or --model")
    return options


if __name__ == "__main__":
    main()
