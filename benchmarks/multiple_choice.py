"""Multiple choice by likelihood side by side: this project, and lm-eval with its own model of transformers.

    python benchmarks/multiple_choice.py --mmlu FOLDER [--size gpt2] [--items 12] [--shots 0 5] [--output FILE.json]

Some items of each subject of MMLU (FOLDER holds SUBJECT_dev.csv and SUBJECT_test.csv), as letters and as cloze, plain,
with a random model of the given shape and GPT-2's tokenizer. Both get the same prompts and are timed from texts to
log-probabilities; this project also scores cloze choices without their prompt. Run it on an idle machine.
"""

import argparse
import csv
import json
import statistics
import sys
from pathlib import Path
from typing import Any

from side_by_side.machine import describe, sentence
from side_by_side.rounds import markdown_table, median_ratio, run_contender
from side_by_side.workload import ROOT, random_model

FOLDER = ROOT.parent / "shared/data/mmlu"
LETTERS = "ABCD"
CONTENDERS = {"reprotune": "ask_reprotune", "lm-eval": "ask_lm_eval"}

Items = list[dict[str, Any]]


def main() -> None:
    options = parse_options()
    model = random_model(options.size)
    subjects = sorted(path.name.removesuffix("_test.csv") for path in options.mmlu.glob("*_test.csv"))
    if not subjects:
        raise SystemExit(f"{options.mmlu} holds no SUBJECT_test.csv: name the folder of MMLU's files with --mmlu")
    items = [item for subject in subjects for item in read_items(options.mmlu, subject, "test")[: options.items]]
    results: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for shots in options.shots:
        examples = {subject: read_items(options.mmlu, subject, "dev")[:shots] for subject in subjects}
        for formulation in options.formulations:
            task = {
                "model": str(model),
                "formulation": formulation,
                "items": items,
                "shots": examples,
                "batch_size": options.batch_size,
            }
            found: dict[str, list[dict[str, Any]]] = {name: [] for name in CONTENDERS}
            for number in range(options.rounds):
                for name, module in CONTENDERS.items():
                    found[name].append(run_contender(module, task))
                    seconds = found[name][-1]["seconds"]
                    print(f"{formulation}, {shots} shots, round {number + 1}, {name}: {seconds:.1f} s", file=sys.stderr)
            results[f"{formulation}, {shots} shots"] = found
    print(compared(results, len(items), len(subjects), options.size))
    if options.output:
        report = {"size": options.size, "machine": describe(), "results": results}
        options.output.write_text(json.dumps(report) + "\n", encoding="utf-8")


def read_items(folder: Path, subject: str, split: str) -> Items:
    """Return the rows of one of MMLU's files as items."""
    with (folder / f"{subject}_{split}.csv").open(encoding="utf-8", newline="") as file:
        return [
            {
                "id": f"{subject}-{split}-{place}",
                "task": "mmlu",
                "subject": subject,
                "context": None,
                "question": question,
                "choices": choices,
                "answer": LETTERS.index(letter),
                "source_row": place,
            }
            for place, (question, *choices, letter) in enumerate(csv.reader(file))
        ]


def compared(results: dict[str, dict[str, list[dict[str, Any]]]], items: int, subjects: int, size: str) -> str:
    """Return the table: medians over rounds, ratios round by round, and how far the answers agree."""
    lines = []
    for name, found in results.items():
        ours, theirs = found["reprotune"], found["lm-eval"]
        seconds = [[entry["seconds"] for entry in entries] for entries in (ours, theirs)]
        pairs = list(zip(ours[0]["logprobs"], theirs[0]["logprobs"], strict=True))
        same = sum(best(mine) == best(other) for mine, other in pairs)
        furthest = max(abs(one - two) for mine, other in pairs for one, two in zip(mine, other, strict=True))
        memory = [statistics.median(entry["peak_memory_mb"] for entry in entries) for entries in (ours, theirs)]
        lines.append(
            [
                name,
                *(f"{items / statistics.median(some):.2f}" for some in seconds),
                median_ratio(seconds[1], seconds[0]),
                " / ".join(f"{mb / 1000:.1f}" for mb in memory),
                f"{same} of {items}",
                f"{furthest:.0e}",
            ]
        )
    header = ["items", "reprotune, items/s", "lm-eval, items/s", "reprotune is faster by", "peak memory (GB)"]
    table = markdown_table([*header, "same answer", "largest difference of log-probabilities"], lines)
    return f"### Multiple choice, {size}\n\n{table}\n\n{items} items of {subjects} subjects.\n{sentence(describe())}."


def best(logprobs: list[float]) -> int:
    """Return the likeliest choice, the first of equals."""
    return logprobs.index(max(logprobs))


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mmlu", type=Path, default=FOLDER, help="the folder of MMLU's CSV files")
    parser.add_argument("--size", default="gpt2", help="gpt2, gpt2-medium, gpt2-large, gpt2-xl or miniature")
    parser.add_argument("--items", type=int, default=12, help="how many items of each subject")
    parser.add_argument("--shots", type=int, nargs="+", default=[0, 5], help="examples before each item")
    parser.add_argument("--formulations", nargs="+", choices=["letters", "cloze"], default=["letters", "cloze"])
    parser.add_argument("--batch-size", type=int, default=8, help="of lm-eval")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", type=Path, help="write the figures as JSON")
    return parser.parse_args()


if __name__ == "__main__":
    main()
