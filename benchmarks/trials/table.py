"""The table at the end, and the list of what is bad."""

from collections import Counter
from collections.abc import Iterable, Sequence

from .verdicts import VERDICTS, Result

GROUPS = {
    "a": "random kills",
    "b": "edits and orphans",
    "c": "disk, rights, memory",
    "d": "bad input",
    "e": "scripted judge",
    "f": "hostile text",
}


def table(results: Sequence[Result]) -> str:
    """Return a Markdown table: a row for each subject, a column for each verdict that occurred."""
    counts: dict[str, Counter[str]] = {}
    for result in results:
        counts.setdefault(result.case.rpartition("/")[0], Counter())[result.verdict] += 1
    columns = [verdict for verdict in VERDICTS if any(row[verdict] for row in counts.values())]
    lines = [["group", "subject", "cases", *columns]]
    for name in sorted(counts):
        group, _, one = name.partition("/")
        row = counts[name]
        lines.append([GROUPS[group], one, str(row.total()), *(str(row[column] or "") for column in columns)])
    total = sum(counts.values(), Counter[str]())
    lines.append(["all", "", str(total.total()), *(str(total[column]) for column in columns)])
    lines.insert(1, ["---"] * len(lines[0]))
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def bad_ones(results: Iterable[Result], repeat: str) -> str:
    """Return what went wrong, with the command that repeats each."""
    parts = []
    for result in results:
        if result.bad:
            why = result.why.encode("ascii", "backslashreplace").decode()
            what = result.what.encode("ascii", "backslashreplace").decode()
            parts.append(f"{result.verdict}: {result.case}: {what}\n    {why}\n    {repeat} --only {result.case}")
    return "\n".join(parts)
