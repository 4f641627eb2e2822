"""The words for what a run measured: its keys, numbers, statuses, statistics and comparisons of pairs."""

from typing import Any

from reprotune.artifacts import SPLITS
from reprotune.params.values import flattened

STATISTIC_WORDS = {
    "exact_match": "exact match",
    "chrf": "chrF",
    "rouge_l": "ROUGE-L",
    "token_f1": "token F1",
    "repetition": "repetition",
    "length_ratio": "length ratio",
}
STATUS_WORDS = {
    "ok": "scored",
    "exact": "exact match",
    "empty": "empty answer",
    "refused": "judge refused",
    "unparsable": "no score in the reply",
    "truncated": "reply cut off",
    "error": "judge failed",
}
FINISH_WORDS = {"length": "stopped at the token limit", "no_room": "prompt fills the context"}
KEY_WORDS = {
    "reasons": "rejected because",
    "sha256": "SHA-256",
    "peak_memory_mb": "peak memory (MB)",
    "p25": "25 %",
    "p75": "75 %",
    "p95": "95 %",
    "p99": "99 %",
}
VERDICTS = {
    "better": ("better", "is clearly better than"),
    "worse": ("worse", "is clearly worse than"),
    "within noise": ("noise", "differs by no more than noise from"),
    "too few rows": ("noise", "differs on too few rows to be told apart from"),
    "unchanged": ("noise", "scores the same on every row as"),
    "cannot be said": ("noise", "has no scored row in common with"),
}
"""Verdict of `statistics.paired` -> the kind by which it is coloured, and a phrase for "this model ... that one"."""

READING_ORDER = (
    "rows",
    "records",
    "rejected",
    "reasons",
    "template",
    "response_header",
    "rows_with_marker",
    "tokens",
    "trained_token_share",
    "length",
    "min",
    "p25",
    "median",
    "p75",
    "p95",
    "p99",
    "max",
)
"""Keys of summaries in reading order; all others follow by name."""


def data_table(summary: dict[str, Any]) -> tuple[list[tuple[str, Any]], list[tuple[str, list[Any]]]]:
    """Divide a stage's summary into single values and values per split, each with its label.

    The splits may be its own keys (`train: {rows: ...}`) or those of a value (`rows: {train: ...}`).
    """
    single: dict[str, Any] = {}
    per_split: dict[str, dict[str, Any]] = {}
    for key, value in _in_reading_order(summary).items():
        if not isinstance(value, dict):
            single[words(key)] = value
        elif key in SPLITS:
            for name, item in flattened(value, ": ", words).items():
                per_split.setdefault(name, {})[key] = item
        elif value and set(value) <= set(SPLITS):
            per_split[words(key)] = value
        else:
            single |= {f"{words(key)}: {name}": item for name, item in flattened(value, ": ", words).items()}
    return list(single.items()), [(name, [row.get(split) for split in SPLITS]) for name, row in per_split.items()]


def _in_reading_order(summary: dict[str, Any]) -> dict[str, Any]:
    def rank(key: str) -> tuple[int, str]:
        return (READING_ORDER.index(key) if key in READING_ORDER else len(READING_ORDER), key)

    items = ((key, summary[key]) for key in sorted(summary, key=rank))
    return {key: _in_reading_order(value) if isinstance(value, dict) else value for key, value in items}


def words(key: str) -> str:
    """Return a key in words: `padding_share` -> `padding share`; text that is not a key is returned unchanged."""
    return KEY_WORDS.get(key, key.replace("_", " ") if key.isidentifier() else key)


def quantity(value: Any, name: str = "") -> str:
    """Return a number for reading: in percent if its name says share, thousands separated; other values as text."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (int, float)) and "share" in name:
        return f"{value:.1%}"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def counted(number: float, noun: str) -> str:
    """Return a number for reading with its noun: `1 row`, `1,250 rows`."""
    return f"{quantity(number)} {noun}" if number == 1 else f"{quantity(number)} {noun}s"


def points(value: float | None, digits: int = 1) -> str:
    """Return a score with one decimal, or with `digits`."""
    return "–" if value is None else f"{value:.{digits}f}"


def signed(value: float | None, digits: int = 1) -> str:
    """Return a difference of scores with its sign."""
    return "–" if value is None else f"{value:+.{digits}f}".replace("-", "\N{MINUS SIGN}")


def scorer_words(judged: dict[str, Any]) -> str:
    """Return in a sentence or two who or what scored the answers, and how.

    `judged` is data/judgements/metrics.json.
    """
    judge, mapping = judged.get("judge"), judged.get("mapping")
    if judge is None:
        text = (
            "No judge was asked: a score is 100 for an answer equal to its reference, 0 for an empty one, and for any "
            "other 100 times the mean of chrF (shared runs of characters) and token F1 (shared words), a comparison of "
            "texts that takes a good paraphrase for a poor answer."
        )
    else:
        version = f" (digest {judge['digest'].removeprefix('sha256:')[:12]})" if judge.get("digest") else ""
        asked = [f"at temperature {judge['temperature']:g}"] if judge.get("temperature") is not None else []
        asked += [f"{counted(judge['repeats'], 'time')} for each answer"] if judge.get("repeats", 1) > 1 else []
        asked += ["scores weighted by the probabilities of their tokens"] if judge.get("expected_score") else []
        how = ", ".join([f"with the rubric {judge['rubric']}", *asked])
        text = (
            f"Judged by {judge['model']}{version}, asked through {judge['backend']} at a {judge['address']} address, "
            f"{how}. Answers equal to their reference have 100 and empty ones 0 without a question to the judge."
        )
    return text if mapping is None else f"{text} The scores were then mapped by {mapping['file']} ({mapping['kind']})."


def error_words(numbers: dict[str, Any]) -> str:
    """Return a mean's standard errors in words; empty where there are none."""
    if numbers.get("stderr") is None:
        return ""
    plain = f"standard error {numbers['stderr']:.2f}"
    clustered = numbers.get("stderr_clustered")
    return plain if clustered is None else f"{plain}, clustered by category {clustered:.2f}"


def pair_facts(pairs: dict[str, Any] | None, candidate: str = "fine-tuned") -> list[tuple[str, str]]:
    """Return how pairs of answers compare, as (what, value); empty if none were compared or none has a verdict.

    `pairs` is what `judging.pairs.summarise_pairs` returns; `candidate` names the model that is compared with the
    baseline.
    """
    if pairs is None or pairs["win_rate"] is None:
        return []
    facts = [("against", opponent_words(pairs["against"]))] if "against" in pairs else []
    facts += [(f"verdict on {candidate}", pairs["verdict"])] if "verdict" in pairs else []
    facts += [
        (f"{candidate} wins (ties count half)", f"{pairs['win_rate']:.1%}"),
        ("95 % interval", f"{pairs['ci95_low']:.1%} to {pairs['ci95_high']:.1%}"),
        ("at equal length", _at_equal_length(pairs)),
        ("won, lost, tied", f"{pairs['wins']}, {pairs['losses']}, {pairs['ties']}"),
        ("identical answers among the ties", f"{pairs['identical']}"),
        ("pairs without a verdict", f"{pairs['unscored']}"),
    ]
    if pairs.get("unanswered"):
        facts.append(("test rows that the other has no answer to", f"{pairs['unanswered']}"))
    if pairs.get("unmatched"):
        facts.append(("answers of the other to no test row", f"{pairs['unmatched']}"))
    if pairs["position_bias"] is not None:
        facts.append(("verdicts that follow the place", f"{pairs['position_bias']:.1%}"))
    return facts


def opponent_words(against: str) -> str:
    """Return whom `pairwise.against` names."""
    return {"base": "the base model", "reference": "the references"}.get(against, against)


def _at_equal_length(pairs: dict[str, Any]) -> str:
    if pairs["length_adjusted_win_rate"] is None:
        return f"cannot be told: {pairs['length_adjusted_unknown']}"
    low, high = pairs["length_adjusted_low"], pairs["length_adjusted_high"]
    return f"{pairs['length_adjusted_win_rate']:.1%} ({low:.1%} to {high:.1%})"
