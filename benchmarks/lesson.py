"""The lesson of the default run in numbers: base, fine-tuned over seeds, and the control from random weights.

Needs the artifacts of `dvc repro` with default params. Each run fine-tunes, answers and sits the exam in this process,
and is kept in `.reprotune/trials/`, as `reprotune repeat` keeps it: what has been done is not done again, and the
workspace's results stay as they are. It takes about a minute and a half per run on two cores:

    python benchmarks/lesson.py [--seeds 5]

Prints Markdown: the share of test rows answered exactly, by the kind of fact (in `data/embedded/textbook`): invented
and known ones are to be learned by heart, rule-like ones may be worked out from other rows. The last column is the
share of the exam's items whose right choice is the likeliest.
"""

import argparse
import os
import platform
import statistics
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from reprotune.artifacts import RECORDS, RESPONSES, read_table, write_json
from reprotune.compute.device import pick_compute
from reprotune.dataset.tokenizers.load import load_tokenizer
from reprotune.files import read_json
from reprotune.judging.offline import measure
from reprotune.model.inference import prepare_for_inference
from reprotune.model.weights import load_model
from reprotune.multiple_choice.asking import ask
from reprotune.multiple_choice.contracts import ITEMS
from reprotune.multiple_choice.framing import PlainText
from reprotune.multiple_choice.prompts import Wording
from reprotune.multiple_choice.sampling import choose
from reprotune.runs.changes import changed_params
from reprotune.runs.keys import code_hash
from reprotune.runs.repeats import RunParams, answered, seeds_of, with_seed
from reprotune.runs.trial import drop_model, train

ROOT = Path(__file__).resolve().parents[1]
TEXTBOOK = ROOT / "data/embedded/textbook"
BASE = Path("data/base")
KINDS = ("all", "invented", "known", "rule", "exam")


def kind_of_category() -> dict[str, str]:
    """Return for each category of the dataset what kind of facts it asks for."""
    sys.path.insert(0, str(TEXTBOOK))
    from textbook.world import all_facts  # noqa: PLC0415 - needs the path

    return {fact.family: fact.kind for fact in all_facts(seed=1)}


def exact_shares(responses: Path, kinds: dict[str, str]) -> dict[str, float]:
    """Return the share of exact answers in percent, over all test rows and by kind."""
    answers = {row["id"]: row for row in read_table(responses, RESPONSES).to_pylist()}
    hits = defaultdict(list)
    for record in read_table(Path("data/split/test.parquet"), RECORDS).to_pylist():
        answer = answers[record["id"]]
        hit = measure(answer["reference"], answer["response"]).exact_match
        hits["all"].append(hit)
        hits[kinds[record["category"]]].append(hit)
    return {kind: 100 * statistics.mean(values) for kind, values in hits.items()}


def exam_share(model_folder: Path) -> float:
    """Return the share of the exam's items, in percent, whose right choice the model finds likeliest."""
    params = changed_params({}).benchmark
    items = read_table(Path("data/benchmark/items.parquet"), ITEMS).to_pylist()
    chosen = choose(items, params.shots, params.items_per_subject, params.seed)
    tokenizer, compute = load_tokenizer(BASE), pick_compute(params.precision)
    model = load_model(model_folder, compute.device)
    prepare_for_inference(model, compute)
    beginnings = params.asks_beginnings(changed_params({}).fetch.benchmark)
    wording = Wording("cloze", beginnings)
    rows = ask(model, tokenizer, PlainText(tokenizer), wording, chosen, params.on_too_long == "drop_shots", "exam")
    right = {item["id"]: item["answer"] for item in items}
    return 100 * statistics.mean(int(np.argmax(row["logprobs"])) == right[row["id"]] for row in rows)


def run_params(changes: dict[str, Any]) -> RunParams:
    """Return the params of a run, with some dotted keys changed."""
    document = changed_params(changes)
    return RunParams(document.finetune, document.generate, document.judge)


def finetuned_shares(init: str, seed: int, kinds: dict[str, str]) -> tuple[dict[str, float], float]:
    """Fine-tune from `init` with `seed` and return the shares and the seconds of training."""
    params = with_seed(run_params({"finetune.init": init}), seed)
    trained, responses = answered(params, keep_model=True)
    exam = trained.folder / f"exam-{code_hash('reprotune.multiple_choice.asking')}.json"
    if not exam.is_file():
        trained = train(params.finetune, needs_model=True)
        write_json(exam, {"share": exam_share(trained.folder / "model")})
    drop_model(trained)
    share = read_json(exam, f"delete {exam}")["share"]
    return {**exact_shares(responses, kinds), "exam": share}, trained.seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5, help="number of runs, from finetune.seed on")
    count = parser.parse_args().seeds
    os.chdir(ROOT)
    kinds = kind_of_category()
    rows = {"base model": {**exact_shares(Path("data/responses/base.parquet"), kinds), "exam": exam_share(BASE)}}
    seeds = seeds_of(run_params({}), count)
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
    print(f"| right, % | {' | '.join(KINDS)} |\n|{'---|' * (len(KINDS) + 1)}")
    for name, share in rows.items():
        print(f"| {name} | {' | '.join(f'{share[kind]:.1f}' for kind in KINDS)} |")
    seconds = ", ".join(f"{run[1]:.0f}" for run in runs)
    print(f"\nTraining took {seconds} s ({platform.processor() or platform.machine()}, torch {torch.__version__}).")


if __name__ == "__main__":
    main()
