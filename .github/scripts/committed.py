#!/usr/bin/env python3
"""Compares the numbers in metrics/ that are committed with those that a run has just put in their place.

    .github/scripts/committed.py

Prints one line for each that is not the same, and nothing if all are. What depends on the data alone has to be equal.
Weights differ in rounding between kinds of processors, and scores with them, so a score may lie anywhere in the 95 %
interval of the new one, as may a benchmark's share of right answers, and a loss within 2 % of it. Votes and the
comparison with llama.cpp are not looked at. Needs nothing but Python and Git.
"""

import json
import subprocess
from pathlib import Path
from typing import Any

LOSS_SHARE = 0.02
LOSSES = ("initial.validation_loss", "best.validation_loss")
COUNTS = {"metrics/training.json": ("steps", "tokens_seen"), "metrics/scores.json": ("method", "finetuned.n")}
BENCHMARK = "metrics/benchmark.json"
SCORED = ("base", "finetuned")


def main() -> None:
    for name in ("metrics/data.json", "metrics/training.json", "metrics/scores.json", BENCHMARK):
        new = _parsed(Path(name).read_bytes())
        shown = subprocess.run(["git", "show", f"HEAD:./{name}"], capture_output=True, check=False)  # noqa: S603, S607
        old = _parsed(shown.stdout) if shown.returncode == 0 else None
        if old is None:
            print(f"{name} is not committed, or not readable there")
        elif name == "metrics/data.json":
            if old != new:
                print(f"{name}: other numbers of the data")
        elif name == BENCHMARK:
            benchmark_differences(old, new)
        else:
            differences(name, old, new)


def differences(name: str, old: Any, new: Any) -> None:
    """Print what differs between two versions of one file."""
    for key in COUNTS[name]:
        was, now = value(old, key), value(new, key)
        if was != now:
            say(name, key, was, now)
    if name == "metrics/training.json":
        for key in LOSSES:
            loss_difference(name, key, old, new)
        return
    for model in SCORED:
        interval_difference(name, model, "score", old, new)


def benchmark_differences(old: Any, new: Any) -> None:
    """Print what differs between two versions of the benchmark's file."""
    asked_then, asked = formulations(old), formulations(new)
    for key in sorted(asked_then | asked):
        was, now = value(old, f"{key}.items"), value(new, f"{key}.items")
        if was != now:
            say(BENCHMARK, f"{key}.items", was, now)
            continue
        for model in SCORED:
            interval_difference(BENCHMARK, f"{key}.{model}", "accuracy", old, new)
    for model in SCORED:
        loss_difference(BENCHMARK, f"retention.{model}.bits_per_byte", old, new)


def formulations(document: Any) -> set[str]:
    """Return the keys `<task>.<formulation>` of the benchmark's file."""
    tasks = document.items() if isinstance(document, dict) else ()
    return {
        f"{task}.{formulation}"
        for task, asked in tasks
        if task != "retention" and isinstance(asked, dict)
        for formulation in asked
    }


def loss_difference(name: str, key: str, old: Any, new: Any) -> None:
    was, now = value(old, key), value(new, key)
    known = is_number(was) and is_number(now)
    if was != now and not (known and abs(was - now) <= LOSS_SHARE * abs(now)):
        say(name, key, was, now)


def interval_difference(name: str, model: str, figure: str, old: Any, new: Any) -> None:
    was, now = value(old, f"{model}.{figure}"), value(new, f"{model}.{figure}")
    low, high = value(new, f"{model}.ci95_low"), value(new, f"{model}.ci95_high")
    known = is_number(was) and is_number(low) and is_number(high)
    if was != now and not (known and low <= was <= high):
        say(name, f"{model}.{figure}", was, now)


def say(name: str, key: str, was: Any, now: Any) -> None:
    print(f"{name}: {key} is {json.dumps(was)[:40]} as committed, {json.dumps(now)[:40]} after a run")


def value(document: Any, key: str) -> Any:
    """Return the value of a dotted key; null where there is none."""
    for part in key.split("."):
        document = document.get(part) if isinstance(document, dict) else None
    return document


def is_number(found: Any) -> bool:
    return isinstance(found, int | float) and not isinstance(found, bool)


def _parsed(content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError:
        return None


if __name__ == "__main__":
    main()
