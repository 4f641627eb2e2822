"""Faults on purpose: kills, edits, full disks, bad input, a hostile judge, hostile text; each judged automatically.

    python benchmarks/torture.py [--groups abcdef] [--cases 1000] [--kills 200] [--edits 25] [--seed 1] [--workers 2]
        [--only CASE]

A tiny copy of this working tree runs the pipeline once (a minute, and not again while the code stays the same); then
every case happens in a copy of that. What is bad is printed with the command that repeats it; the exit code is 1 if
anything is. Ctrl-C ends it with the table of what was done. Needs the extra `test`; Linux only.
"""

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from side_by_side.machine import describe, sentence
from trials import artifacts, checkpoints, datasets, hostile, judge, machine, scratch, settings  # noqa: F401 - each adds its cases
from trials.cases import SUBJECTS, drawn, run_case
from trials.commands import Workers
from trials.edits import disturb
from trials.kills import torment
from trials.project import Project
from trials.table import GROUPS, bad_ones, table
from trials.verdicts import Result


def main() -> None:
    options = parse_options()
    work = options.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    project = Project.made(work)
    (work / "cases").mkdir(exist_ok=True)
    results: list[Result] = []
    try:
        for result in run(options, project, work / "cases"):
            results.append(result)
            if result.bad or options.only:
                print(f"{result.verdict}: {result.case}: {result.what!a}\n    {result.why!a}", flush=True)
            elif len(results) % 50 == 0:
                print(f"{len(results)} cases, {sum(one.bad for one in results)} bad", file=sys.stderr, flush=True)
    except KeyboardInterrupt:
        print(f"interrupted after {len(results)}; the table has these", file=sys.stderr, flush=True)
    repeat = f"python benchmarks/torture.py --seed {options.seed} --work {work}"
    bad = [result for result in results if result.bad]
    print(f"\n{table(results)}\n\n{sentence(describe())}; {time.monotonic() - started:.0f} s.")
    if options.output:
        report = [{name: value for name, value in vars(one).items() if name != "ran"} for one in results]
        options.output.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    if bad:
        print(f"\n{bad_ones(results, repeat)}")
        sys.exit(f"{len(bad)} of {len(results)} are bad")
    shutil.rmtree(work / "cases")


def run(options: argparse.Namespace, project: Project, work: Path) -> Iterator[Result]:
    """Run what the options ask for."""
    if options.only and options.only[0] in "ab":
        number = int(options.only.split("/")[2].partition(".")[0])
        again = torment if options.only[0] == "a" else disturb
        yield from again(project, 0, options.seed, work, only=number)
        return
    if "a" in options.groups and not (options.only or options.subject):
        yield from torment(project, options.kills, options.seed, work)
    if "b" in options.groups and not (options.only or options.subject):
        yield from disturb(project, options.edits, options.seed, work)
    cases = [options.only] if options.only else list(drawn(options.groups, options.cases))
    if options.subject:
        cases = [case for case in cases if case.split("/")[1] in options.subject]
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
    parser.add_argument("--output", type=Path, help="write every result as JSON")
    return parser.parse_args()


if __name__ == "__main__":
    main()
