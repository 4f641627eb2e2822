"""The words for the figures of a benchmark and of retention."""

from typing import Any

from reprotune.statistics.paired import BETTER, NOISE, SAME, TOO_FEW, UNKNOWN, WORSE

ACCURACY_WORDS = {
    "accuracy": "right answers",
    "macro_accuracy": "mean over subjects",
    "accuracy_per_character": "per character",
    "accuracy_per_token": "per token",
    "accuracy_per_byte": "per byte",
    "accuracy_unconditional": "against the choice alone",
    "right_probability": "probability of the right choice",
}
"""Figure that is a share -> its name."""

TRIVIAL_WORDS = {
    "best_constant": "best constant answer",
    "longest_option": "always the longest option",
    "chance": "chance",
}
"""What reads no question -> its name, in the order in which every table ends."""

DIFFERENCE_WORDS = {
    BETTER: "the fine-tuned model is better",
    WORSE: "the fine-tuned model is worse",
    NOISE: "the difference is within noise",
    SAME: "the same items are right",
    TOO_FEW: "too few items differ to tell",
    UNKNOWN: "there is no item",
}
RETENTION_WORDS = {
    "forgot": "fine-tuning forgot: the text is harder to predict than before",
    "improved": "the text is easier to predict than before",
    NOISE: "what fine-tuning forgot, if anything, is within noise",
    SAME: "every document is predicted as before",
    TOO_FEW: "too few documents differ to tell",
    UNKNOWN: "there is no document",
}


def percent(value: float | None, sign: str = "") -> str:
    """Return a share in percent with one decimal; with `sign` of `+`, as a difference."""
    return "–" if value is None else f"{100 * value:{sign}.1f}".replace("-", "\N{MINUS SIGN}")


def bits(value: float | None, sign: str = "") -> str:
    """Return a loss in bits per byte; with `sign` of `+`, as a difference."""
    return "–" if value is None else f"{value:{sign}.4f}".replace("-", "\N{MINUS SIGN}")


def matched_words(difference: dict[str, Any]) -> str:
    """Return what the two models' answers to the same items show, with the counts that the test goes by."""
    counts = f"{difference['gained']:,} gained, {difference['lost']:,} lost"
    if difference.get("p_value") is None:
        return DIFFERENCE_WORDS[difference["verdict"]]
    return f"{DIFFERENCE_WORDS[difference['verdict']]} ({counts}, exact p {difference['p_value']:.2g})"


def below_constant(figures: dict[str, Any]) -> str:
    """Return which models are not above the best constant answer; empty where both are."""
    names = {"base": "base", "finetuned": "fine-tuned"}
    low = [name for model, name in names.items() if not figures[model]["above_constant"]]
    return f"not above the best constant answer: {' and '.join(low)}" if low else ""
