"""Overhead of the judge's client: 1,000 answers, judged by a loopback server that takes 50 ms for each.

The server runs in a process of its own and measures, per request, the time from the whole request to the written
reply. That sum divided by the number of connections is the server's own time; what the run takes beyond it is ours:
prompts, HTTP, JSON, the store (every reply forced to the disk), statistics. Run it on an idle machine:

    python benchmarks/judge_overhead.py [--answers 1000] [--latency 0.05] [--concurrency 8] [--output FILE.json]
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import platform
import sys
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from reprotune.judging.answers import Answer
from reprotune.judging.questions.prompts import Item
from reprotune.judging.run import judge_answers, opened_judge
from reprotune.params.sections.judge import JudgeParams

REPLY = json.dumps(
    {
        "choices": [{"message": {"content": '{"reasoning": "Close.", "score": 70}'}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 500, "completion_tokens": 12},
    }
).encode()


class Service:
    """Answers every request with the same verdict after `latency` seconds."""

    def __init__(self, latency: float) -> None:
        self.latency = latency
        self.busy = 0.0
        self.requests = 0
        self.connections = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        while head := await reader.readuntil(b"\r\n\r\n") if not reader.at_eof() else b"":
            length = next(int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
            await reader.readexactly(length)
            started = time.perf_counter()
            await asyncio.sleep(self.latency)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(REPLY) + REPLY)
            await writer.drain()
            self.busy += time.perf_counter() - started
            self.requests += 1


def run_service(latency: float, pipe: Connection) -> None:
    """Serve until told to stop, then send the measured times."""

    async def main() -> None:
        service = Service(latency)

        async def guarded(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await service.serve(reader, writer)
            except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
                writer.close()  # the client has gone

        server = await asyncio.start_server(guarded, "127.0.0.1", 0)
        pipe.send(server.sockets[0].getsockname()[1])
        await asyncio.get_running_loop().run_in_executor(None, pipe.recv)
        pipe.send((service.busy, service.requests, service.connections))
        server.close()

    asyncio.run(main())


def make_answers(count: int) -> list[Answer]:
    """Return answers of the length that small models give; none is exact, so each needs a call."""
    filler = "It takes a sentence or two to say what was asked for, with a few facts in them."
    return [
        Answer("base", f"row{number:06}", None, Item(f"Question {number}?", filler, f"{number}: {filler}", filler))
        for number in range(count)
    ]


def measure(count: int, latency: float, concurrency: int) -> dict[str, Any]:
    """Judge `count` answers once and return the times in seconds."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=run_service, args=(latency, theirs), daemon=True)
    process.start()
    os.environ |= {
        "OPENAI_BASE_URL": f"http://127.0.0.1:{ours.recv()}/v1",
        "REPROTUNE_JUDGE_CONCURRENCY": str(concurrency),
        "NO_PROXY": "127.0.0.1",
    }
    params = JudgeParams(
        backend="openai",
        model="bench",
        when_other_model="fail",
        rubric="reference",
        temperature=0.0,
        seed=123,
        max_tokens=256,
        repeats=1,
        expected_score=False,
        mapping=None,
        pairwise=False,
        canaries=0,
        min_coverage=1.0,
        min_canary_pass=0.0,
    )
    answers = make_answers(count)
    with tempfile.TemporaryDirectory(dir=".") as folder:
        os.environ["DVC_ROOT"] = folder
        started, used = time.perf_counter(), time.process_time()
        with opened_judge(params) as judge:
            run = judge_answers(answers, params, judge)
        wall, used = time.perf_counter() - started, time.process_time() - used
    ours.send("stop")
    busy, requests, connections = ours.recv()
    process.join()
    if requests != count or any(row.score is None for row in run.answers):
        sys.exit(f"{requests} requests for {count} answers: the run is not worth measuring")
    own = busy / concurrency
    return {
        "wall_seconds": round(wall, 3),
        "server_seconds": round(own, 3),
        "overhead_share": round(wall / own - 1, 4),
        "client_cpu_seconds": round(used, 3),
        "connections": connections,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--answers", type=int, default=1000)
    parser.add_argument("--latency", type=float, default=0.05, help="seconds per request")
    parser.add_argument("--concurrency", type=int, default=8)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--output", type=Path, help="where the JSON goes; default: standard output")
    options = parser.parse_args()
    load = os.getloadavg()[0]
    runs = [measure(options.answers, options.latency, options.concurrency) for _ in range(options.runs)]
    result = {
        "answers": options.answers,
        "latency_seconds": options.latency,
        "concurrency": options.concurrency,
        "cores": os.cpu_count(),
        "load_before": round(load, 2),
        "python": platform.python_version(),
        "runs": runs,
    }
    text = json.dumps(result, indent=2) + "\n"
    if options.output:
        options.output.write_text(text)
    else:
        print(text)
    print(
        f"{options.answers} answers, {options.latency * 1000:.0f} ms each, {options.concurrency} connections, "
        f"{os.cpu_count()} cores, load {load:.1f} before\n"
    )
    print("| run | wall (s) | server's own time (s) | overhead | client CPU (s) |\n|---|---|---|---|---|")
    for number, run in enumerate(runs, start=1):
        print(
            f"| {number} | {run['wall_seconds']:.2f} | {run['server_seconds']:.2f} | {run['overhead_share']:.1%} "
            f"| {run['client_cpu_seconds']:.2f} |"
        )


if __name__ == "__main__":
    main()
