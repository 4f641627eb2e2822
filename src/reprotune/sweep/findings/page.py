"""The page of a sweep: who won and by how much, which params matter, every trial."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reprotune.pages.html import render_page
from reprotune.params.differences import param_changes
from reprotune.params.values import spelled
from reprotune.results.words import counted
from reprotune.statistics.paired import BETTER, WORSE
from reprotune.sweep.artifact import Written, level_losses
from reprotune.sweep.contracts import FINISHED
from reprotune.sweep.findings.effects import Effect, Group
from reprotune.sweep.findings.figures import Drawn, curves, effect_scale, parallel
from reprotune.sweep.findings.outcome import Finalist, Outcome, applied, last_status, tokens_read
from reprotune.sweep.findings.words import headline, p_words, rule_words

TEMPLATE = Path(__file__).with_name("sweep.html.jinja")
SCRIPT = Path(__file__).with_name("table.js")


@dataclass(frozen=True)
class TrialLine:
    """A trial as a row of the table."""

    drawn: Drawn
    status: str
    reason: str | None
    cells: list[tuple[str, float]]
    """A value of the space, and by what it is sorted: its place on its axis."""
    tokens: int


@dataclass(frozen=True)
class GroupLine:
    """A group of trials with its bar."""

    group: Group
    left: float
    """Ends of the interval and the mean, in percent."""
    width: float
    mean: float | None


def sweep_page(written: Written, found: Outcome) -> str:
    """Return the page as HTML text."""
    sweep = written.sweep
    lines = trial_lines(written, found.winner.trial if found.winner else None)
    drawn = [line.drawn for line in lines]
    kind, title = headline(found)
    winner = found.winner
    return render_page(
        TEMPLATE,
        SCRIPT,
        sweep=sweep,
        found=found,
        kind=kind,
        headline=title,
        rule=rule_words(sweep),
        winner=winner,
        changes=winner_changes(written, winner) if winner else [],
        dimensions=sweep.dimensions,
        levels=sweep.levels,
        parallel=parallel(sweep.dimensions, drawn, sweep.levels[0]),
        curves=curves(sweep.dimensions, drawn),
        effects=[(effect, effect_lines(effect, found)) for effect in found.effects],
        lines_of_trials=lines,
        counts=", ".join(f"{count} {status}" for status, count in sorted(found.statuses.items())),
        failed=dict(sorted(found.reasons.items())),
        verdict_kinds={BETTER: "better", WORSE: "worse"},
        p_words=p_words,
        begun=counted(len(lines), "trial"),
    )


def winner_changes(written: Written, winner: Finalist) -> list[tuple[str, str, str]]:
    """Return (key, present value, value of the winner) of all params in which it differs."""
    sweep = written.sweep
    changed = sweep.changed(applied(written, winner.trial))
    changes = param_changes(*({"finetune": params.model_dump()} for params in (sweep.present, changed)))
    return [(change.key, change.old, change.new) for change in changes]


def trial_lines(written: Written, winner: int | None = None) -> list[TrialLine]:
    """Return all trials, the furthest and best first."""
    finalists = written.finals()
    lines = []
    for trial, rows in written.search().items():
        losses, status = level_losses(rows), last_status(rows)
        kind = "finalist" if trial in finalists else "ended" if status == FINISHED else "stopped"
        values = written.values(trial)
        cells = [(spelled(values[one.key]), one.place(values[one.key])) for one in written.sweep.dimensions]
        reason = next((row["reason"] for row in rows if row["reason"]), None)
        drawn = Drawn(trial, values, losses, "winner" if trial == winner else kind)
        lines.append(TrialLine(drawn, status, reason, cells, tokens_read(rows)))
    return sorted(lines, key=_rank)


def _rank(line: TrialLine) -> tuple[Any, ...]:
    losses = line.drawn.losses
    reached = max(losses, default=0.0)
    return line.reason is not None, -reached, losses.get(reached, 0.0), line.drawn.number


def effect_lines(effect: Effect, found: Outcome) -> list[GroupLine]:
    """Return the groups of a param with their bars; all params share one scale."""
    low, high = effect_scale(found.effects)

    def place(loss: float) -> float:
        return min(max(100 * (loss - low) / ((high - low) or 1.0), 0.0), 100.0)

    lines = []
    for group in effect.groups:
        left = place(group.ci95_low) if group.ci95_low is not None else 0.0
        right = place(group.ci95_high) if group.ci95_high is not None else 0.0
        lines.append(GroupLine(group, left, right - left, None if group.loss is None else place(group.loss)))
    return lines
