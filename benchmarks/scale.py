"""The data stages at scale: fetch, split, format and tokenize over 10,000, 100,000 and 1,000,000 made-up rows.

    python benchmarks/scale.py [--sizes 10000 100000 1000000] [--similarities 0.9 0.8 0.7] [--output FILE.json]

Each stage runs as the pipeline runs it, in a process of its own; near-duplicate grouping is on. Beside `tokenize`, the
same texts go through tiktoken's own `encode_ordinary_batch` on as many threads. Then `split` alone groups 55,144 rows
of templated tasks (`make_templated.py`), where most rows resemble others, at each of the similarities. The exit code is
not zero when a bound is broken: 2 GB of memory in any stage, tokenization slower than 80 % of tiktoken's, grouping
longer than ten minutes; for templated rows at 0.9, 1 GB and 20 s of processor time.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from side_by_side.machine import describe, sentence
from side_by_side.measured import run_measured
from side_by_side.rounds import markdown_table
from side_by_side.workload import ROOT

STAGES = {"fetch": ["fetch", "dataset"], "split": ["split"], "format": ["format"], "tokenize": ["tokenize"]}
MEMORY_MB, TOKENIZE_SHARE, GROUPING_SECONDS = 2000, 0.8, 600
TEMPLATED_ROWS, TEMPLATED_MB, TEMPLATED_SECONDS = 55_144, 1000, 20
RAW = """
import json, os, sys, time
from pathlib import Path
import pyarrow.parquet as pq
from reprotune.dataset.tokenizers.gpt2 import load
encoding, seconds, tokens = load(), 0.0, 0
for path in sorted(Path("data/formatted").glob("*.parquet")):
    for batch in pq.ParquetFile(path).iter_batches(20000, columns=["prompt", "response"]):
        texts = batch["prompt"].to_pylist() + batch["response"].to_pylist()
        started = time.perf_counter()
        ids = encoding.encode_ordinary_batch(texts, num_threads=os.cpu_count())
        seconds += time.perf_counter() - started
        tokens += sum(map(len, ids))
print(json.dumps({"encode_seconds": seconds, "tokens": tokens}))
"""


def main() -> None:
    options = parse_options()
    results = [measure(size) for size in options.sizes]
    templated = [measure_templated(similarity) for similarity in options.similarities]
    broken = [fault for result in results for fault in faults(result)]
    broken += [fault for result in templated for fault in templated_faults(result)]
    print(f"{table(results)}\n\n{templated_table(templated)}\n\n{sentence(describe())}.")
    if options.output:
        report = {"machine": describe(), "results": results, "templated": templated, "broken": broken}
        options.output.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    sys.exit("\n".join(broken) or 0)


def measure(rows: int) -> dict[str, Any]:
    """Run every stage once over `rows` made-up rows in a temporary project."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_project(folder, "make_alpaca.py", rows)
        result: dict[str, Any] = {"rows": rows, "megabytes": (folder / "rows.jsonl").stat().st_size / 1e6}
        run_measured([sys.executable, "-m", "stages.fetch", "base"], folder)
        for stage, words in STAGES.items():
            result[stage] = run_measured([sys.executable, "-m", f"stages.{words[0]}", *words[1:]], folder)
            print(f"{rows} rows, {stage}: {result[stage]['seconds']:.1f} s", file=sys.stderr)
        result["tiktoken"] = run_measured([sys.executable, "-c", RAW], folder)
        result["tiktoken"] |= json.loads(result["tiktoken"].pop("output"))
        result["fetched"] = json.loads((folder / "data/raw/summary.json").read_text(encoding="utf-8"))
        result["split"] |= json.loads((folder / "data/split/summary.json").read_text(encoding="utf-8"))
        result["tokenize_share"] = result["tiktoken"]["cpu_seconds"] / result["tokenize"]["cpu_seconds"]
        result["tokenize_share_wall"] = result["tiktoken"]["seconds"] / result["tokenize"]["seconds"]
        return result


def measure_templated(similarity: float) -> dict[str, Any]:
    """Run `split` over templated rows in a temporary project."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_project(folder, "make_templated.py", TEMPLATED_ROWS, similarity)
        run_measured([sys.executable, "-m", "stages.fetch", "dataset"], folder)
        split = run_measured([sys.executable, "-m", "stages.split"], folder)
        split |= json.loads((folder / "data/split/summary.json").read_text(encoding="utf-8"))
        print(f"{TEMPLATED_ROWS} templated rows at {similarity}, split: {split['seconds']:.1f} s", file=sys.stderr)
        return {"similarity": similarity, "split": split}


def make_project(folder: Path, generator: str, rows: int, similarity: float = 0.9) -> None:
    """Write made-up rows and params that read them; the base model is the embedded one, for its tokenizer."""
    (folder / "data").mkdir()
    (folder / "data/embedded").symlink_to(ROOT / "data/embedded")
    make = [sys.executable, str(ROOT / "benchmarks" / generator), str(rows), "rows.jsonl"]
    subprocess.run(make, cwd=folder, check=True)
    params = (ROOT / "params.yaml").read_text(encoding="utf-8").replace("source: embedded", "source: rows.jsonl", 1)
    params = params.replace("near_duplicate_similarity: 0.9", f"near_duplicate_similarity: {similarity}", 1)
    (folder / "params.yaml").write_text(params, encoding="utf-8")


def faults(result: dict[str, Any]) -> list[str]:
    """Return a sentence for each bound that is broken."""
    rows = f"{result['rows']} rows"
    found = [
        f"{rows}: {stage} takes {result[stage]['memory_mb']:.0f} MB, more than {MEMORY_MB}"
        for stage in STAGES
        if result[stage]["memory_mb"] > MEMORY_MB
    ]
    if result["rows"] >= 100_000 and result["tokenize_share"] < TOKENIZE_SHARE:
        found.append(f"{rows}: tokenize runs at {result['tokenize_share']:.0%} of tiktoken's rate")
    if result["split"]["seconds"] > GROUPING_SECONDS:
        found.append(f"{rows}: split takes {result['split']['seconds']:.0f} s")
    return found


def templated_faults(result: dict[str, Any]) -> list[str]:
    """Return a sentence for each bound that is broken at the default similarity."""
    split = result["split"]
    if result["similarity"] != 0.9:
        return []
    found = []
    if split["memory_mb"] > TEMPLATED_MB:
        found.append(f"templated rows: split takes {split['memory_mb']:.0f} MB, more than {TEMPLATED_MB}")
    if split["cpu_seconds"] > TEMPLATED_SECONDS:
        found.append(f"templated rows: split takes {split['cpu_seconds']:.0f} s of processor time")
    return found


def templated_table(results: list[dict[str, Any]]) -> str:
    """Return a line per similarity."""
    lines = []
    for result in results:
        split = result["split"]
        found = f"{split['rows_in_groups']:,} in {split['near_duplicate_groups']:,}"
        seconds, cpu, memory = split["seconds"], split["cpu_seconds"], split["memory_mb"]
        lines.append([f"{result['similarity']:g}", f"{seconds:.1f}", f"{cpu:.1f}", f"{memory:.0f}", found])
    return markdown_table(["similarity", "wall (s)", "CPU (s)", "peak memory (MB)", "rows in groups"], lines)


def table(results: list[dict[str, Any]]) -> str:
    """Return a line per stage and size, with the growth over the size before."""
    lines = []
    for stage in (*STAGES, "tiktoken"):
        before = None
        for result in results:
            figures = result[stage]
            growth = f"{figures['seconds'] / before:.1f}" if before else ""
            before = figures["seconds"]
            seconds, cpu, memory = figures["seconds"], figures["cpu_seconds"], figures["memory_mb"]
            lines.append([stage, f"{result['rows']:,}", f"{seconds:.1f}", growth, f"{cpu:.1f}", f"{memory:.0f}"])
    header = ["stage", "rows", "wall (s)", "times the size before", "CPU (s)", "peak memory (MB)"]
    words = [
        f"{result['rows']:,} rows ({result['megabytes']:.0f} MB): {result['fetched']['rejected']} rejected, "
        f"{result['split']['rows_in_groups']} in {result['split']['near_duplicate_groups']} groups of near-duplicates, "
        f"{result['tiktoken']['tokens']:,} tokens; the stage tokenize runs at {result['tokenize_share']:.0%} (CPU) "
        f"and {result['tokenize_share_wall']:.0%} (wall) of the rate of a bare loop over `encode_ordinary_batch`."
        for result in results
    ]
    return markdown_table(header, lines) + "\n\n" + "\n".join(words)


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="*", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--similarities", type=float, nargs="*", default=[0.9, 0.8, 0.7], help="for templated rows")
    parser.add_argument("--output", type=Path, help="write the figures as JSON")
    return parser.parse_args()


if __name__ == "__main__":
    main()
