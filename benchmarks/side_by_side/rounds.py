"""Contenders take turns: each a process of its own, A B C, A B C, ..., so that a drifting machine is fair to all."""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

BENCHMARKS = Path(__file__).resolve().parent.parent
sys.path.append(str(BENCHMARKS.parent))

from stages import TORCH_SETTINGS  # noqa: E402 - found only now


class ContenderError(Exception):
    """A contender's process failed."""


def run_contender(module: str, task: Mapping[str, Any], timeout: float = 3600) -> dict[str, Any]:
    """Run `python -m contenders.<module>` on a task and return what it measured; its own words go to standard error."""
    with tempfile.TemporaryDirectory() as folder:
        question, answer = Path(folder, "task.json"), Path(folder, "result.json")
        question.write_text(json.dumps(dict(task)), encoding="utf-8")
        command = [sys.executable, "-m", f"contenders.{module}", str(question), str(answer)]
        environment = os.environ | {"TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1"}
        if module.endswith("_reprotune"):  # as its stages run
            environment = TORCH_SETTINGS | environment
        done = subprocess.run(command, cwd=BENCHMARKS, stdout=sys.stderr, timeout=timeout, check=False, env=environment)
        if done.returncode or not answer.is_file():
            raise ContenderError(f"contenders.{module} ended with exit code {done.returncode}: its words are above")
        result: dict[str, Any] = json.loads(answer.read_text(encoding="utf-8"))
        return result


def contender_main(measure: Any) -> None:
    """Body of a contender's process: read the task, measure, write the result."""
    question, answer = sys.argv[1:]
    result = measure(json.loads(Path(question).read_text(encoding="utf-8")))
    Path(answer).write_text(json.dumps(result), encoding="utf-8")


def median_ratio(ours: Sequence[float], theirs: Sequence[float]) -> str:
    """Median over rounds of ours / theirs, with the smallest and the largest."""
    ratios = [mine / other for mine, other in zip(ours, theirs, strict=True)]
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
