"""How often the gate cries wolf at changes that do nothing, and how often it sees a loss.

    python benchmarks/null_changes.py [--changes 1000] [--seed 1] [--output FILE.json]

Made-up test sets, each scored before and after a change: a default run (35 kinds of unequal size, most answers exact),
an LLM judge's scores on the book chapter's 110 rows, right or wrong answers on 100 rows, and on 40. A change that does
nothing draws every answer anew from the same distribution; in the clustered set, rows of one kind also rise or fall
together. A loss of twice the smallest detectable difference, as `reprotune compare` shows it, is then taken from the
answers of as many such changes. The tolerance is 1.3 times the smallest detectable difference (`default run`: that of
gate.yaml), so that most changes that do nothing are kept; a tolerance of 0 is tried on these, too. The verdicts are
the gate's own. The exit code is not zero
unless at most 5 % of the changes that do nothing are broken, and at least 95 % of the losses.
"""

import argparse
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from reprotune.compare.comparison import paired_change
from reprotune.compare.gate import BROKEN, KEPT, TOO_FEW, ChangeRule, judged, read_rules

ROOT = Path(__file__).resolve().parents[1]
WOLF, SEEN = 0.05, 0.95
Draw = np.random.Generator


class Rows(NamedTuple):
    """A test set: how its scores come about."""

    name: str
    kinds: list[str | None]
    pair: Callable[[Draw], tuple[np.ndarray, np.ndarray]]
    """Returns scores before and after a change that does nothing."""
    tolerance: float | None
    """Null: 1.3 times the smallest detectable difference."""


def sets() -> list[Rows]:
    """Return the test sets; their rows are the same in every run."""
    draw = np.random.default_rng(0)
    sizes = draw.multinomial(325, draw.dirichlet(np.full(35, 3.0)))
    kind = np.repeat(np.arange(35), sizes)
    easy = np.clip(draw.normal(0.87, 0.15, 35), 0.3, 1.0)[kind]

    def default(draw: Draw) -> tuple[np.ndarray, np.ndarray]:
        # An answer is as hard as its row, and each side's model is a little better or worse at every kind.
        hard = draw.random(325)
        return _exact(draw, hard, easy, kind), _exact(draw, hard, easy, kind)

    def judge(draw: Draw) -> tuple[np.ndarray, np.ndarray]:
        level = draw.choice([0.0, 20, 50, 75, 85, 100], 110, p=[0.15, 0.15, 0.1, 0.1, 0.25, 0.25])
        return _judge(draw, level), _judge(draw, level)

    def right(n: int) -> Callable[[Draw], tuple[np.ndarray, np.ndarray]]:
        def pair(draw: Draw) -> tuple[np.ndarray, np.ndarray]:
            chance = draw.beta(3.0, 0.5, n)
            return 100.0 * (draw.random(n) < chance), 100.0 * (draw.random(n) < chance)

        return pair

    shipped = next(rule for rule in read_rules(ROOT / "gate.yaml").changes if rule.metric == "finetuned.score")
    return [
        Rows("default run, 325 rows of 35 kinds", [f"kind {number}" for number in kind], default, shipped.tolerance),
        Rows("judge, 110 rows", [None] * 110, judge, None),
        Rows("right or wrong, 100 rows", [None] * 100, right(100), None),
        Rows("right or wrong, 40 rows", [None] * 40, right(40), None),
    ]


def _exact(draw: Draw, hard: np.ndarray, easy: np.ndarray, kind: np.ndarray) -> np.ndarray:
    """Return scores that are mostly 100: rows stay right or wrong, save for some, and kinds move together a little."""
    again = np.where(draw.random(len(hard)) < 0.2, draw.random(len(hard)), hard)
    moved = np.clip(easy + draw.normal(0, 0.02, 35)[kind], 0, 1)
    return np.where(again < moved, 100.0, draw.uniform(30, 95, len(hard)))


def _judge(draw: Draw, level: np.ndarray) -> np.ndarray:
    """Return grades in steps of 5 that scatter about the answer's level, and are far off for one answer in eight."""
    other = draw.choice([0.0, 20, 50, 85, 100], len(level))
    graded = np.where(draw.random(len(level)) < 0.125, other, level + draw.normal(0, 8, len(level)))
    return np.clip(5 * np.round(graded / 5), 0, 100)


def lowered(draw: Draw, scores: np.ndarray, loss: float) -> np.ndarray:
    """Return the scores after a mean loss: answers drawn at random become worthless, one in part."""
    worse, left = scores.copy(), loss * len(scores)
    for row in draw.permutation(len(scores)):
        taken = min(worse[row], left)
        worse[row] -= taken
        left -= taken
    return worse


def simulate(rows: Rows, changes: int, seed: int) -> dict[str, Any]:
    """Return the shares of each state among changes that do nothing and among losses."""
    draw = np.random.default_rng(seed)
    detectable = float(np.mean([_change(rows, *rows.pair(draw)).smallest_detectable or 0.0 for _ in range(50)]))
    tolerance = 1.3 * detectable if rows.tolerance is None else rows.tolerance
    rule, strict = (ChangeRule(metric="finetuned.score", better="higher", tolerance=most) for most in (tolerance, 0.0))
    states: dict[str, Counter[str]] = {"nothing": Counter(), "nothing, tolerance 0": Counter(), "loss": Counter()}
    for _ in range(changes):
        before, after = rows.pair(draw)
        nothing = _change(rows, before, after)
        states["nothing"][judged(rule, nothing)[0]] += 1
        states["nothing, tolerance 0"][judged(strict, nothing)[0]] += 1
        states["loss"][judged(rule, _change(rows, before, lowered(draw, after, 2 * detectable)))[0]] += 1
    shares = {name: {state: count / changes for state, count in found.items()} for name, found in states.items()}
    return {"rows": rows.name, "smallest_detectable": detectable, "tolerance": tolerance, **shares}


def _change(rows: Rows, before: np.ndarray, after: np.ndarray) -> Any:
    pairs = list(zip(before.tolist(), after.tolist(), strict=True))
    return paired_change("finetuned.score", "Score", pairs, rows.kinds)


def main() -> None:
    """Run every test set and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--changes", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    print("| rows | detectable | tolerance | nothing: broken | too few | kept | tolerance 0: broken | loss: broken |")
    print("|---|---|---|---|---|---|---|---|")
    results = []
    for rows in sets():
        found = simulate(rows, options.changes, options.seed)
        results.append(found)
        shares = [f"{found['nothing'].get(state, 0.0):.1%}" for state in (BROKEN, TOO_FEW, KEPT)]
        shares.append(f"{found['nothing, tolerance 0'].get(BROKEN, 0.0):.1%}")
        cells = [found["rows"], f"{found['smallest_detectable']:.1f}", f"{found['tolerance']:.1f}", *shares]
        print(f"| {' | '.join([*cells, format(found['loss'].get(BROKEN, 0.0), '.1%')])} |", flush=True)
    if options.output:
        options.output.write_text(json.dumps(results, indent=2) + "\n")
    wrong = [
        found["rows"]
        for found in results
        if found["nothing, tolerance 0"].get(BROKEN, 0.0) > WOLF or found["loss"].get(BROKEN, 0.0) < SEEN
    ]
    if wrong:
        raise SystemExit(f"the gate is wrong too often: {'; '.join(wrong)}")


if __name__ == "__main__":
    main()
