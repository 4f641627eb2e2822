"""The lesson of the default run in numbers: base, fine-tuned over seeds, and the control from random weights.

Needs the artifacts of `dvc repro` with default params. Each run fine-tunes and answers in a temporary folder, so the
workspace stays as it is; it takes about a minute and a half per run on two cores:

    python benchmarks/lesson.py [--seeds 123 1 2]

Prints Markdown: the share of test rows answered exactly, by the kind of fact (in `data/embedded/textbook`): invented
and known ones are to be learned by heart, rule-like ones may be worked out from other rows.
"""

import argparse
import json
import platform
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

import torch
from ruamel.yaml import YAML

from reprotune.artifacts import RECORDS, RESPONSES, read_table
from reprotune.judging.offline import measure

ROOT = Path(__file__).resolve().parents[1]
TEXTBOOK = ROOT / "data/embedded/textbook"
KINDS = ("all", "invented", "known", "rule")


def kind_of_category() -> dict[str, str]:
    """Return for each category of the dataset what kind of facts it asks for."""
    sys.path.insert(0, str(TEXTBOOK))
    from textbook.world import all_facts  # noqa: PLC0415 - needs the path

    return {fact.family: fact.kind for fact in all_facts(seed=1)}


def exact_shares(responses: Path, kinds: dict[str, str]) -> dict[str, float]:
    """Return the share of exact answers in percent, over all test rows and by kind."""
    answers = {row["id"]: row for row in read_table(responses, RESPONSES).to_pylist()}
    hits = defaultdict(list)
    for record in read_table(ROOT / "data/split/test.parquet", RECORDS).to_pylist():
        answer = answers[record["id"]]
        hit = measure(answer["reference"], answer["response"]).exact_match
        hits["all"].append(hit)
        hits[kinds[record["category"]]].append(hit)
    return {kind: 100 * statistics.mean(values) for kind, values in hits.items()}


def finetuned_shares(init: str, seed: int, kinds: dict[str, str]) -> tuple[dict[str, float], float]:
    """Fine-tune from `init` with `seed` and return the exact shares and the seconds of training."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "data").mkdir()
        for part in ("base", "formatted", "tokens"):
            (folder / "data" / part).symlink_to(ROOT / "data" / part)
        yaml = YAML()
        params = yaml.load((ROOT / "params.yaml").read_text(encoding="utf-8"))
        params["finetune"].update(init=init, seed=seed)
        yaml.dump(params, folder / "params.yaml")
        for stage in (["finetune"], ["generate", "finetuned"]):
            command = [sys.executable, "-m", f"stages.{stage[0]}", *stage[1:]]
            subprocess.run(command, cwd=folder, env={"PYTHONPATH": f"{ROOT}:{ROOT / 'src'}"}, check=True)
        speed = json.loads((folder / "data/speed/finetune.json").read_text(encoding="utf-8"))
        return exact_shares(folder / "data/responses/finetuned.parquet", kinds), speed["seconds"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[123, 1, 2])
    seeds = parser.parse_args().seeds
    kinds = kind_of_category()
    rows = {"base model": exact_shares(ROOT / "data/responses/base.parquet", kinds)}
    runs = []
    for seed in seeds:
        runs.append(finetuned_shares("base", seed, kinds))
        rows[f"fine-tuned, seed {seed}"] = runs[-1][0]
    shares = [run[0] for run in runs]
    rows["fine-tuned, mean"] = {kind: statistics.mean(share[kind] for share in shares) for kind in KINDS}
    if len(seeds) > 1:
        rows["fine-tuned, standard deviation"] = {
            kind: statistics.stdev(share[kind] for share in shares) for kind in KINDS
        }
    rows["control: random weights, same fine-tuning"] = finetuned_shares("random", seeds[0], kinds)[0]
    print(f"| exact answers, % | {' | '.join(KINDS)} |\n|{'---|' * (len(KINDS) + 1)}")
    for name, share in rows.items():
        print(f"| {name} | {' | '.join(f'{share[kind]:.1f}' for kind in KINDS)} |")
    seconds = ", ".join(f"{run[1]:.0f}" for run in runs)
    print(f"\nTraining took {seconds} s ({platform.processor() or platform.machine()}, torch {torch.__version__}).")


if __name__ == "__main__":
    main()
