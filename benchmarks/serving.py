"""Serving side by side: `reprotune serve` and `transformers serve`, asked by 32 clients at once.

    python benchmarks/serving.py [--size gpt2] [--model FOLDER] [--requests 64] [--tokens 32] [--rounds 3]

Both serve the same weights in float32 on this machine and get the same prompts through `/v1/completions`, greedy; each
client sends its next prompt when it has its answer. The servers take turns, each in a process of its own, and answer a
few prompts before the clock starts. `transformers serve` runs in both of its ways; the faster one counts. It needs the
extra `test`. Run it on an idle machine.
"""

import argparse
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests
from side_by_side.machine import describe, sentence
from side_by_side.rounds import markdown_table, median_ratio
from side_by_side.workload import DATA, ROOT, SCRATCH, chapter_rows, random_model, real_model

from reprotune.dataset.tokenizers.load import load_tokenizer

OURS = "reprotune serve"
THEIRS = {"transformers serve": [], "transformers serve --continuous-batching": ["--continuous-batching"]}
START_SECONDS = 300


def main() -> None:
    options = parse_options()
    model = real_model(options.model) if options.model else random_model(options.size)
    rows = chapter_rows(options.data, model)[1]
    texts = [load_tokenizer(model).decode(prompt) for prompt, _ in rows[: options.requests]]
    results: dict[str, list[dict[str, Any]]] = {}
    for number in range(options.rounds):
        for name in (OURS, *THEIRS):
            if name in results and not results[name]:
                continue
            results.setdefault(name, [])
            try:
                with serving(name, model) as (address, served):
                    found = measure(address, served, texts, options.clients, options.tokens)
            except (RuntimeError, requests.RequestException) as error:
                print(f"round {number + 1}, {name}: left out: {str(error)[:300]}", file=sys.stderr)
                continue
            results[name].append(found)
            print(f"round {number + 1}, {name}: {found['seconds']:.1f} s", file=sys.stderr)
    print(compared(results, options, model.name))
    if options.output:
        report = {"model": model.name, "machine": describe(), "results": results}
        options.output.write_text(json.dumps(report) + "\n", encoding="utf-8")


@contextmanager
def serving(name: str, model: Path) -> Iterator[tuple[str, str]]:
    """Yield the address of a server and what it calls the model."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    if name == OURS:
        command, served, place = ["-m", "reprotune.cli", "serve", "finetuned"], "finetuned", our_project(model)
    else:
        own = [str(model.resolve()), "--device", "cpu", "--dtype", "float32", *THEIRS[name]]
        command, served, place = ["-m", "transformers.cli.transformers", "serve", *own], own[0], SCRATCH
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT / "src")}
    words = [sys.executable, *command, "--port", str(port)]
    log = SCRATCH / "serving.log"
    with (
        log.open("w") as said,
        subprocess.Popen(words, cwd=place, env=environment, stdout=said, stderr=said) as process,
    ):
        try:
            deadline = time.monotonic() + START_SECONDS
            while not answers_at(port):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"it does not start: {log.read_text()[-300:]}")
                time.sleep(0.2)
            yield f"http://127.0.0.1:{port}", served
        finally:
            process.kill()


def answers_at(port: int) -> bool:
    try:
        return requests.get(f"http://127.0.0.1:{port}/health", timeout=5).ok
    except requests.RequestException:
        return False


def our_project(model: Path) -> Path:
    """Return a folder in which `reprotune serve` finds the model as the fine-tuned one."""
    project = SCRATCH / "serving"
    shutil.rmtree(project, ignore_errors=True)
    (project / "data").mkdir(parents=True)
    shutil.copy2(ROOT / "params.yaml", project)
    for name in ("base", "model"):
        (project / "data" / name).symlink_to(model.resolve())
    return project


def measure(address: str, served: str, texts: list[str], clients: int, tokens: int) -> dict[str, Any]:
    """Have `clients` clients ask for the continuation of each text, and return how long all took."""
    session = requests.Session()
    session.mount("http://", requests.adapters.HTTPAdapter(pool_maxsize=clients))

    def ask(text: str) -> dict[str, Any]:
        body = {"model": served, "prompt": text, "max_tokens": tokens, "temperature": 0}
        response = session.post(f"{address}/v1/completions", json=body, timeout=1800)
        if not response.ok:
            raise RuntimeError(f"status {response.status_code}: {response.text}")
        value: dict[str, Any] = response.json()
        return value

    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(ask, texts[:2]))
        started = time.perf_counter()
        found = list(pool.map(ask, texts))
        seconds = time.perf_counter() - started
    written = sum(value["usage"]["completion_tokens"] for value in found)
    return {"seconds": seconds, "tokens": written, "answers": [value["choices"][0]["text"] for value in found]}


def compared(results: dict[str, list[dict[str, Any]]], options: argparse.Namespace, model: str) -> str:
    """Return the table: medians over rounds, ratios round by round, and how many texts agree."""
    ours = results[OURS]
    lines = []
    for name, entries in results.items():
        if not entries:
            continue
        same = sum(mine == other for mine, other in zip(ours[0]["answers"], entries[0]["answers"], strict=True))
        rounds = min(len(ours), len(entries))
        lines.append(
            [
                name,
                f"{statistics.median(entry['seconds'] for entry in entries):.1f}",
                f"{statistics.median(entry['tokens'] / entry['seconds'] for entry in entries):.0f}",
                "1"
                if name == OURS
                else median_ratio([e["seconds"] for e in entries[:rounds]], [e["seconds"] for e in ours[:rounds]]),
                f"{same} of {len(entries[0]['answers'])}",
            ]
        )
    table = markdown_table(["server", "seconds", "tokens/s", "reprotune is faster by", "same answers"], lines)
    return (
        f"### Serving, {model}\n\n{table}\n\n{options.requests} requests of {options.clients} clients, "
        f"{options.tokens} tokens each, float32.\n{sentence(describe())}."
    )


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="gpt2", help="gpt2, gpt2-medium, gpt2-large, gpt2-xl or miniature")
    parser.add_argument("--model", type=Path, help="a checkpoint folder or GGUF file, not random weights")
    parser.add_argument("--data", type=Path, default=DATA, help="the book's instruction-data.json")
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--requests", type=int, default=64)
    parser.add_argument("--tokens", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", type=Path, help="write the figures as JSON")
    return parser.parse_args()


if __name__ == "__main__":
    main()
