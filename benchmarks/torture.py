"""Faults on purpose: kills, edits, full disks, bad input, a hostile judge, hostile text; each judged automatically.

    python benchmarks/torture.py [--groups abcdef] [--cases 1000] [--kills 200] [--edits 25] [--seed 1] [--workers 2]
        [--output FILE [--resume]] [--only CASE]

A tiny copy of this working tree runs the pipeline twice (two minutes, and not again while the code stays the same);
then every case happens in a copy of that. On two cores, 1,000 cases take an hour and a half, 200 kills two hours, 25
edits half an hour: all in all four hours, and more where the machine has other work.

What is bad is printed with the command that repeats it; the exit code is 1 if anything is. Ctrl-C ends it with the
table of what was done; with `--output` every result is kept as it comes, and `--resume` goes on from there. Needs the
extra `test`; Linux only.
"""

import argparse
import json
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Set
from pathlib import Path

from side_by_side.machine import describe, sentence
from trials import (  # noqa: F401 - each adds its cases
    artifacts,
    checkpoints,
    datasets,
    hostile,
    items,
    judge,
    machine,
    scratch,
    service,
    settings,
    taken_home,
    votes,
)
from trials.cases import SUBJECTS, drawn, run_case
from trials.commands import Workers
from trials.edits import disturb
from trials.kills import torment
from trials.project import Project
from trials.table import GROUPS, bad_ones, table
from trials.verdicts import Result


def main() -> None:
    options = parse_options()
    # A shell ignores Ctrl-C in what it runs in the background, and all that is started from there would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    work = options.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    project = Project.made(work)
    (work / "cases").mkdir(exist_ok=True)
    results = kept(options.output) if options.resume else []
    if options.output and not options.resume:
        options.output.write_text("", encoding="utf-8")
    try:
        for result in run(options, project, work / "cases", {one.case for one in results}):
            results.append(result)
            if options.output:
                keep(result, options.output)
            if result.bad or options.only:
                print(f"{result.verdict}: {result.case}: {result.what!a}\n    {result.why!a}", flush=True)
            elif len(results) % 50 == 0:
                print(f"{len(results)} cases, {sum(one.bad for one in results)} bad", file=sys.stderr, flush=True)
    except KeyboardInterrupt:
        print(f"interrupted after {len(results)}; the table has these", file=sys.stderr, flush=True)
    repeat = f"python benchmarks/torture.py --seed {options.seed} --work {work}"
    bad = [result for result in results if result.bad]
    print(f"\n{table(results)}\n\n{sentence(describe())}; {time.monotonic() - started:.0f} s.")
    if bad:
        print(f"\n{bad_ones(results, repeat)}")
        sys.exit(f"{len(bad)} of {len(results)} are bad")
    shutil.rmtree(work / "cases")


def keep(result: Result, path: Path) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps({name: value for name, value in vars(result).items() if name != "ran"}) + "\n")


def kept(path: Path) -> list[Result]:
    """Return the results of an earlier run; a line that was cut off is one that is missing."""
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    whole = [line for line in lines if line.endswith("\n")]
    path.write_text("".join(whole), encoding="utf-8")
    return [Result(**json.loads(line)) for line in whole]


def run(options: argparse.Namespace, project: Project, work: Path, done: Set[str] = frozenset()) -> Iterator[Result]:
    """Run what the options ask for, without the cases that are done."""
    if options.only and options.only[0] in "ab":
        number = int(options.only.split("/")[2].partition(".")[0])
        again = torment if options.only[0] == "a" else disturb
        yield from again(project, 0, options.seed, work, only=number)
        return
    if "a" in options.groups and not (options.only or options.subject):
        yield from torment(project, options.kills, options.seed, work, done=done)
    if "b" in options.groups and not (options.only or options.subject):
        yield from disturb(project, options.edits, options.seed, work, done=done)
    cases = [options.only] if options.only else list(drawn(options.groups, options.cases, options.subject or ()))
    cases = [case for case in cases if case not in done]
    if cases:
        with Workers(project.root, project.environment, 1 if options.only else options.workers) as workers:
            yield from workers.map(
                lambda forker, case: run_case(forker, project, case, options.seed, work, options.keep), cases
            )


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--groups", default="".join(GROUPS), help=f"which of {GROUPS}")
    parser.add_argument("--subject", action="append", help=f"only these: {', '.join(SUBJECTS)}")
    parser.add_argument("--cases", type=int, default=1000, help="cases of the groups c to f together")
    parser.add_argument("--kills", type=int, default=200, help="kills of group a")
    parser.add_argument("--edits", type=int, default=25, help="disturbed runs of group b")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, help="cases of the groups c to f at a time; by default the cores")
    parser.add_argument("--only", help="one case, as it is named in the output, e.g. d/params/17")
    parser.add_argument("--keep", action="store_true", help="keep the folder of every case, not just of bad ones")
    parser.add_argument(
        "--work", type=Path, default=Path(tempfile.gettempdir()) / "reprotune-torture", help="where it happens"
    )
    parser.add_argument("--output", type=Path, help="write every result as a line of JSON")
    parser.add_argument("--resume", action="store_true", help="leave out what stands in the file of --output")
    options = parser.parse_args()
    if options.resume and not (options.output and options.output.is_file()):
        parser.error("--resume goes on from the file of --output, which has to exist")
    return options


if __name__ == "__main__":
    main()
