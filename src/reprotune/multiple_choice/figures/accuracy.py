"""The figures of a benchmark, each beside what a trivial answer would get. All of them come from stored rows.

Accuracies are shares from 0 to 1. The one without a surname takes the choice whose tokens have the largest sum of
log-probabilities; the others divide that sum, or take what the choice has without the question from it.
"""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from reprotune.artifacts import MODELS
from reprotune.multiple_choice.figures.measured import Asked, Item, Measured, largest
from reprotune.statistics.intervals import mean, wilson_interval
from reprotune.statistics.matched import PERCENT, MatchedTest, matched_test
from reprotune.statistics.stratified import stratified_rate

NEAR_TIE = 0.01
"""Nats between the likeliest choice and the next: their probabilities differ by 1 %, and other kernels or another
batch, in bfloat16 above all, may turn them round."""

CONVENTIONS = ("lm-eval", "Hendrycks et al.")
"""Whose groups of subjects, in the order of a `Groups` table."""

Groups = Mapping[str, tuple[str, str]]
"""Subject -> its group under each of `CONVENTIONS`."""

Figures = dict[str, Any]
Name = TypeVar("Name")
Value = TypeVar("Value")


def task_figures(measured: Measured, groups: Groups) -> dict[str, Figures]:
    """Return the figures of each formulation: of both models, their difference, the trivial answers and groups."""
    return {
        formulation: {
            "items": len(asked["base"]),
            "trivial": trivial_answers([row.item for row in asked["base"]]),
            **{model: model_figures(asked[model], formulation) for model in MODELS},
            "difference": difference_figures(matched(asked["base"], asked["finetuned"])),
            "groups": group_figures(asked, groups),
        }
        for formulation, asked in measured.asked.items()
    }


def trivial_answers(items: Sequence[Item]) -> Figures:
    """Return what answers get that read no question: a draw, always one position, always the longest option."""
    counts = Counter(item.answer for item in items)
    position, most = min(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    longest = [largest([len(choice) for choice in item.choices]) == item.answer for item in items]
    return {
        "chance": mean([1 / len(item.choices) for item in items]),
        "best_constant": most / len(items),
        "best_constant_position": position + 1,
        "longest_option": mean(longest),
        "position_shares": _shares(items, [item.answer for item in items]),
    }


def model_figures(asked: Sequence[Asked], formulation: str) -> Figures:
    """Return one model's figures under a formulation; null where letters compete, whose lengths are all alike."""
    right = [float(row.right) for row in asked]
    subjects = [row.item.subject for row in asked]
    estimate = stratified_rate(right, subjects, [row.item.cluster for row in asked])._asdict()
    cloze = not formulation.startswith("letters")
    probabilities = [_softmax(row.logprobs) for row in asked]
    shares = _shares([row.item for row in asked], [row.predicted for row in asked])
    return {
        "accuracy": estimate.pop("rate"),
        **estimate,
        "macro_accuracy": mean([sum(values) / len(values) for values in _by(subjects, right).values()]),
        **{f"accuracy_{name}": _accuracy(asked, values) if cloze else None for name, values in NORMALISED.items()},
        "accuracy_unconditional": _unconditional_accuracy(asked),
        "right_probability": mean([p[row.item.answer] for row, p in zip(asked, probabilities, strict=True)]),
        "brier": mean([_brier(p, row.item.answer) for row, p in zip(asked, probabilities, strict=True)]),
        "near_ties": sum(_margin(row.logprobs) < NEAR_TIE for row in asked),
        "cut_prompts": sum(row.cut_tokens > 0 for row in asked),
        "position_shares": shares,
        "above_constant": _above_constant(estimate["ci95_low"], [row.item for row in asked]),
    }


def _above_constant(low: float | None, items: Sequence[Item]) -> bool:
    """Tell whether the whole interval lies above what the best constant answer gets."""
    return low is not None and low > max(Counter(item.answer for item in items).values()) / len(items)


NORMALISED: dict[str, Callable[[Asked], Sequence[float]]] = {
    "per_character": lambda row: [
        value / max(1, len(choice)) for value, choice in zip(row.logprobs, row.item.choices, strict=True)
    ],
    "per_token": lambda row: [
        value / max(1, count) for value, count in zip(row.logprobs, row.choice_tokens, strict=True)
    ],
    "per_byte": lambda row: [
        value / max(1, len(choice.encode())) for value, choice in zip(row.logprobs, row.item.choices, strict=True)
    ],
}
"""Name -> what is compared instead of the sum; per character (lm-eval's `acc_norm`) counts code points of the choice
without the blank before it."""


def _accuracy(asked: Sequence[Asked], values: Callable[[Asked], Sequence[float]]) -> float | None:
    return mean([largest(values(row)) == row.item.answer for row in asked])


def _unconditional_accuracy(asked: Sequence[Asked]) -> float | None:
    """Compare what the question adds to the log-probability of each choice (Brown et al. 2020)."""
    if any(row.unconditional is None for row in asked):
        return None
    return _accuracy(
        asked, lambda row: [one - other for one, other in zip(row.logprobs, row.unconditional or (), strict=True)]
    )


def _softmax(logprobs: Sequence[float]) -> list[float]:
    """Return the probabilities of the choices if no other text were possible."""
    highest = max(logprobs)
    weights = [math.exp(value - highest) for value in logprobs]
    return [weight / math.fsum(weights) for weight in weights]


def _brier(probabilities: Sequence[float], answer: int) -> float:
    """Return the sum of squared errors over the choices: 0 for a sure right answer, 2 for a sure wrong one."""
    return math.fsum((share - (place == answer)) ** 2 for place, share in enumerate(probabilities))


def _margin(logprobs: Sequence[float]) -> float:
    first, second = sorted(logprobs, reverse=True)[:2] if len(logprobs) > 1 else (math.inf, 0.0)
    return first - second


def _shares(items: Sequence[Item], places: Sequence[int]) -> dict[str, float]:
    """Return how often each position was taken, counted from 1, of all items."""
    counts = Counter(places)
    return {str(place + 1): counts[place] / len(items) for place in range(max(len(item.choices) for item in items))}


def matched(before: Sequence[Asked], after: Sequence[Asked]) -> MatchedTest:
    """Compare two models' answers to the same items, given in the same order."""
    pairs = [(old.right, new.right) for old, new in zip(before, after, strict=True)]
    return matched_test(pairs, [row.item.cluster for row in before])


def difference_figures(test: MatchedTest) -> Figures:
    """Return fine-tuned minus base, as shares."""
    scaled = ("difference", "stderr", "stderr_clustered", "ci95_low", "ci95_high", "smallest_detectable")
    values = {name: getattr(test, name) for name in scaled}
    shares = {name: None if value is None else value / PERCENT for name, value in values.items()}
    return {
        "accuracy": shares.pop("difference"),
        **shares,
        "n": test.n,
        "p_value": test.p_value,
        "gained": test.gained,
        "lost": test.lost,
        "verdict": test.verdict,
    }


def subject_figures(asked: Mapping[str, Sequence[Asked]]) -> dict[str, Figures]:
    """Return for each subject, in the order of the items, both models' accuracies with Wilson intervals."""
    names = [row.item.subject for row in asked["base"]]
    return _rates(asked, names)


def group_figures(asked: Mapping[str, Sequence[Asked]], groups: Groups) -> dict[str, Figures]:
    """Return the sums over the groups of subjects, by `groups` and for other subjects by the items' own column.

    A group that the two conventions fill with other subjects is there once for each, under the name of both.
    """
    sides = [
        [groups[row.item.subject][side] if row.item.subject in groups else row.item.group for row in asked["base"]]
        for side in range(len(CONVENTIONS))
    ]
    found: dict[str, Figures] = {}
    for group in sorted({name for side in sides for name in side if name is not None}):
        inside = [[name == group for name in side] for side in sides]
        for convention, chosen in zip(CONVENTIONS, inside, strict=True):
            name = group if inside[0] == inside[1] else f"{group} ({convention})"
            if any(chosen):
                found |= _rates(asked, [name if there else None for there in chosen])
    return found


def _rates(asked: Mapping[str, Sequence[Asked]], names: Sequence[str | None]) -> dict[str, Figures]:
    """Return the rates of both models under each name; items without a name have no part."""
    found: dict[str, Figures] = {}
    for model in MODELS:
        for name, right in _by(names, [row.right for row in asked[model]]).items():
            if name is not None:
                low, high = wilson_interval(sum(right), len(right)) or (None, None)
                values = {model: mean(right), f"{model}_low": low, f"{model}_high": high}
                found.setdefault(name, {"n": len(right)}).update(values)
    return found


def _by(names: Sequence[Name], values: Sequence[Value]) -> dict[Name, list[Value]]:
    found: dict[Name, list[Value]] = {}
    for name, value in zip(names, values, strict=True):
        found.setdefault(name, []).append(value)
    return found
