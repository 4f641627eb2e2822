"""How often `compare` and the gate call a difference real between two sets of repeats of the same settings.

    python benchmarks/null_repeats.py [--changes 1000] [--seed 1] [--repeats data/repeats/answers.parquet]

A change that does nothing is two sets of repeats of the same settings: new seeds, the same rows. Made-up sets of rows
come about as in `null_changes.py`; there is a set for each number of seeds on either side. With `--repeats`, what
`reprotune repeat` has written is resampled, too: each run takes the answers to a category from a seed of its own. A
change that does something makes a share of the answers worthless, each by chance and as many as cost the smallest
detectable difference that `compare` states. Verdicts and states are those of `compare` and of the gate with a tolerance
of 0. The exit code is not zero unless at most 5 % of the changes that do nothing are called better or worse, at most
5 % are broken, and at least 80 % of the others are broken. A further column shows what one run on either side calls.
"""

import argparse
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from reprotune.artifacts import read_table
from reprotune.compare.comparison import paired_change
from reprotune.compare.gate import BROKEN, ChangeRule, judged
from reprotune.runs.contracts import ANSWERS
from reprotune.runs.values import read_values
from reprotune.statistics.crossed import repeated_test
from reprotune.statistics.paired import BETTER, WORSE, PairedTest

WOLF, SEEN = 0.05, 0.80
SPAN = 100.0
PROBES = 100
"""Comparisons over which the stated detectable difference is averaged."""
SINGLE = 300
"""Comparisons of one run each, which take longer."""
Draw = np.random.Generator


class Rows(NamedTuple):
    """A test set: how the scores of several seeds come about."""

    name: str
    kinds: list[str | None]
    run: Callable[[Draw], np.ndarray]
    """Returns the scores of one run."""
    before: int = 5
    """Runs on the first side."""
    after: int = 5


def sets() -> Iterator[Rows]:
    """Yield made-up test sets; their rows are the same in every run."""
    draw = np.random.default_rng(0)
    kind = np.repeat(np.arange(35), draw.multinomial(325, draw.dirichlet(np.full(35, 3.0))))
    easy = np.clip(draw.normal(0.87, 0.15, 35), 0.3, 1.0)[kind]
    hard = draw.random(325)
    names: list[str | None] = [f"kind {number}" for number in kind]

    def default(draw: Draw) -> np.ndarray:
        """Most answers exact; the seed shifts all kinds by a point, and each kind by two of its own."""
        again = np.where(draw.random(325) < 0.2, draw.random(325), hard)
        right = again < np.clip(easy + draw.normal(0, 0.01) + draw.normal(0, 0.02, 35)[kind], 0, 1)
        return np.where(right, 100.0, draw.uniform(30, 95, 325))

    level = draw.choice([20.0, 50, 75, 85, 100], 110, p=[0.2, 0.2, 0.1, 0.25, 0.25])

    def judge(draw: Draw) -> np.ndarray:
        """Grades in steps of 5 about the answer's level; the seed shifts them all."""
        graded = level + draw.normal(0, 2) + draw.normal(0, 12, 110)
        return np.clip(5 * np.round(graded / 5), 0, 100)

    chance = draw.beta(3.0, 0.5, 110)

    def right(draw: Draw) -> np.ndarray:
        """Right or wrong on 110 rows; the seed has no share but by single rows."""
        return 100.0 * (draw.random(110) < chance)

    for before, after in ((5, 5), (3, 3), (10, 10), (3, 5)):
        yield Rows(f"default run, 325 rows of 35 kinds, {before} and {after} seeds", names, default, before, after)
    yield Rows("judge, 110 rows, 5 and 5 seeds", [None] * 110, judge)
    yield Rows("right or wrong, 110 rows, 5 and 5 seeds", [None] * 110, right)


def resampled(path: Path, categories: dict[str, str | None]) -> Rows:
    """Return what resamples real repeats: a run takes the answers to a category from one of the seeds."""
    values = read_values(path).values["score"]
    scores = np.array([values[row] for row in sorted(values)]).T
    names = [categories[row] for row in sorted(values)]
    known = {name: place for place, name in enumerate(dict.fromkeys(names))}
    kind = np.array([known[name] for name in names])

    def run(draw: Draw) -> np.ndarray:
        return np.asarray(scores[draw.integers(len(scores), size=len(known))[kind], np.arange(len(kind))])

    return Rows(f"{path}: {len(scores)} seeds, {len(names)} rows, resampled, 5 and 5 seeds", names, run)


def side(rows: Rows, draw: Draw, seeds: int) -> np.ndarray:
    """Return the scores of a set of repeats, of shape (seeds, rows)."""
    return np.array([rows.run(draw) for _ in range(seeds)])


def change(rows: Rows, draw: Draw, lost: float = 0.0) -> PairedTest:
    """Compare two sets of repeats of the same settings, the second with a share of its answers made worthless."""
    before, after = side(rows, draw, rows.before), side(rows, draw, rows.after)
    after = np.where(draw.random(after.shape) < lost, 0.0, after)
    return repeated_test(before, after, SPAN, rows.kinds)[0]


def stated_loss(rows: Rows, draw: Draw) -> tuple[float, float]:
    """Return the share of answers to lose, and its cost: the difference that `compare` calls detectable there."""
    mean = float(side(rows, draw, 20).mean())
    lost = 0.0
    for _ in range(3):  # losses make rows differ more, and so the detectable difference a little larger
        stated = [change(rows, draw, lost).smallest_detectable or 0.0 for _ in range(PROBES)]
        lost = float(np.mean(stated)) / mean
    return lost, lost * mean


def simulate(rows: Rows, changes: int, seed: int) -> dict[str, Any]:
    """Return how often a difference is called real where there is none, and where there is the detectable one."""
    draw = np.random.default_rng(seed)
    rule = ChangeRule(metric="finetuned.score", better="higher", tolerance=0.0)
    lost, detectable = stated_loss(rows, draw)
    nothing = [change(rows, draw) for _ in range(changes)]
    losses = [change(rows, draw, lost) for _ in range(changes)]
    return {
        "rows": rows.name,
        "detectable": detectable,
        "called": float(np.mean([test.verdict in (BETTER, WORSE) for test in nothing])),
        "broken": float(np.mean([judged(rule, test)[0] == BROKEN for test in nothing])),
        "seen": float(np.mean([judged(rule, test)[0] == BROKEN for test in losses])),
        "called_of_one_run_each": called_of_one_run_each(rows, min(changes, SINGLE), draw),
    }


def called_of_one_run_each(rows: Rows, changes: int, draw: Draw) -> float:
    """Return how often single runs of the same settings are called better or worse, as without repeats."""
    called = 0
    for _ in range(changes):
        pairs = list(zip(rows.run(draw).tolist(), rows.run(draw).tolist(), strict=True))
        called += paired_change("finetuned.score", "Score", pairs, rows.kinds).verdict in (BETTER, WORSE)
    return called / changes


def faults(found: dict[str, Any]) -> bool:
    """Tell whether a set is called wrongly too often."""
    return bool(found["called"] > WOLF or found["broken"] > WOLF or found["seen"] < SEEN)


def main() -> None:
    """Run every test set and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--changes", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--repeats", type=Path)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    wanted = list(sets())
    if options.repeats:
        wanted.append(resampled(options.repeats, categories_of(options.repeats)))
    print("| rows | detectable | nothing: called | gate broken | detectable loss: gate broken | one run each: called |")
    print("|---|---|---|---|---|---|")
    results = []
    for rows in wanted:
        found = simulate(rows, options.changes, options.seed)
        results.append(found)
        shares = [f"{found[key]:.1%}" for key in ("called", "broken", "seen", "called_of_one_run_each")]
        print(f"| {' | '.join([found['rows'], format(found['detectable'], '.1f'), *shares])} |", flush=True)
    if options.output:
        options.output.write_text(json.dumps(results, indent=2) + "\n")
    wrong = [found["rows"] for found in results if faults(found)]
    if wrong:
        raise SystemExit(f"wrong too often: {'; '.join(wrong)}")


def categories_of(path: Path) -> dict[str, str | None]:
    """Return the category of every row of repeats."""
    return {row["row"]: row["category"] for row in read_table(path, ANSWERS).to_pylist()}


if __name__ == "__main__":
    main()
