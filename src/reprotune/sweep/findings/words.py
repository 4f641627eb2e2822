"""What a sweep found, in sentences for the page and the terminal."""

from reprotune.results.words import counted
from reprotune.statistics.paired import BETTER, SAME, WORSE
from reprotune.sweep.definition import Sweep
from reprotune.sweep.findings.outcome import Finalist, Outcome

DIGITS = 4


def loss(value: float | None) -> str:
    """Return a loss for reading."""
    return "–" if value is None else f"{value:.{DIGITS}f}"


def change(value: float | None) -> str:
    """Return a difference of losses with its sign."""
    return "–" if value is None else f"{value:+.{DIGITS}f}".replace("-", "\N{MINUS SIGN}")


def p_words(value: float | None) -> str:
    """Return a p-value for reading."""
    return "–" if value is None else "<0.001" if value < 0.001 else f"{value:.3f}"


def headline(found: Outcome) -> tuple[str, str]:
    """Return the outcome as `better`, `worse` or `noise`, and in a phrase."""
    winner = found.winner
    if winner is None:
        failed = found.finalists and found.present_loss is None
        return "noise", f"Nothing can be said: {'the present params failed' if failed else 'no trial ran to its end'}"
    name = f"trial {winner.trial}"
    if winner.verdict == BETTER:
        return "better", f"T{name[1:]} beats the present params by {loss(-(winner.difference or 0.0))} nats per token"
    if winner.verdict == WORSE:
        return "worse", f"No trial beats the present params: the best, {name}, is worse"
    if winner.verdict == SAME:
        return "noise", f"The best, {name}, is the same as the present params"
    return "noise", f"No trial is shown to beat the present params: the best, {name}, differs by no more than noise"


def interval(one: Finalist) -> str:
    """Return the interval of a finalist's difference."""
    return f"{change(one.low)} to {change(one.high)}"


def comparison_words(found: Outcome, one: Finalist, fresh_seeds: int) -> str:
    """Return in a sentence how a finalist compares with the present params."""
    if one.difference is None:
        return f"trial {one.trial} cannot be compared: it or the present params failed with a fresh seed"
    several = f", for {counted(len(found.finalists), 'finalist')} at once" if len(found.finalists) > 1 else ""
    return (
        f"trial {one.trial}: validation loss {loss(one.loss)}, the present params {loss(found.present_loss)}; "
        f"difference {change(one.difference)} ({interval(one)}, 95 %{several}) over {counted(found.rows, 'row')} and "
        f"{counted(fresh_seeds, 'fresh seed')}: {one.verdict}"
    )


def rule_words(sweep: Sweep) -> str:
    """Return in a sentence how trials were stopped."""
    rungs = sweep.definition.rungs
    if not rungs:
        return "Every trial ran to its end."
    shares = " and ".join(filter(None, [", ".join(f"{rung:.0%}" for rung in rungs[:-1]), f"{rungs[-1]:.0%}"]))
    return (
        f"Trials were compared after {shares} of their steps; the best of every {sweep.definition.eta} measured there "
        "went on from its checkpoint, exactly as if it had never stopped."
    )
