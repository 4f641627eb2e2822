"""What repeats found, in words and a table: the spread over seeds beside the error from the rows."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from reprotune.runs.current import changes_here
from reprotune.runs.publish import read_repeats_metrics
from reprotune.untrusted import visible

METRICS = Path("data/repeats/metrics.json")
SHOWN_CHANGES = 3
SHOWN = {
    "score": ("Score", 1.0, 1),
    "exact_match": ("Exact matches, %", 100.0, 1),
    "validation_loss": ("Validation loss", 1.0, 4),
}
"""Number -> its name, the factor that makes it readable, and its digits."""


def repeats_tables(root: Path) -> Iterator[Table | Text]:
    """Yield what the repeats in `root` found, and whether they are of what is there; nothing where there are none."""
    if not (root / METRICS).is_file():
        return
    metrics = read_repeats_metrics(root / METRICS)
    yield _table(metrics)
    yield Text(agreement_sentence(metrics))
    if changes := changes_here(root):
        more = f"; and {len(changes) - SHOWN_CHANGES} more" if len(changes) > SHOWN_CHANGES else ""
        shown = "; ".join(changes[:SHOWN_CHANGES])
        yield Text(visible(f"The repeats are of other params, code or data ({shown}{more}):"), "yellow")
        yield Text("run `reprotune repeat` for those of what is here.", "bold yellow")


def _table(metrics: dict[str, Any]) -> Table:
    table = Table(box=box.ROUNDED)
    table.add_column(f"{metrics['seeds']} seeds", style="bold", no_wrap=True)
    for name in ("Mean", "95 % interval", "SD of seeds", "Lowest", "Highest"):
        table.add_column(name, justify="right", no_wrap=True)
    for key, (name, scale, digits) in SHOWN.items():
        part = metrics[key]
        mean, spread, low, high = (_shown(part.get(one), scale, digits) for one in ("mean", "sd", "lowest", "highest"))
        ends = [_shown(part.get(end), scale, digits) for end in ("ci95_low", "ci95_high")]
        interval = "–" if "–" in ends else " to ".join(ends)
        table.add_row(name, mean, interval, spread, low, high)
    return table


def _shown(value: float | None, scale: float, digits: int) -> str:
    return "–" if value is None else f"{scale * value:.{digits}f}"


def agreement_sentence(metrics: dict[str, Any]) -> str:
    """Return how far the seeds agree on single rows."""
    found = metrics["agreement"]
    share = found.get("same_answer")
    same = "" if share is None else f"Two seeds give the same answer to {share:.0%} of the rows. "
    return (
        f"{same}Exact with every seed: {found['always_exact']:.0%} of the rows, with some: "
        f"{found['sometimes_exact']:.0%}, with none: {found['never_exact']:.0%}."
    )
