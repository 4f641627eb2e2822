"""All items under one formulation put to a model: prompts that fit its context, log-probabilities, rows to keep."""

import hashlib
import math
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

from reprotune.console import progress_bar
from reprotune.dataset.tokenizers.encoding import Ids, Tokenizer
from reprotune.errors import UserError
from reprotune.model.network import Network
from reprotune.multiple_choice.branches import Branching
from reprotune.multiple_choice.framing import Encoded, Framing, check_letters, first_token
from reprotune.multiple_choice.likelihood import log_probabilities
from reprotune.multiple_choice.prompts import Item, Wording
from reprotune.multiple_choice.sampling import Chosen

ITEMS_PER_CALL = 64
"""Items encoded at a time: the ids of whole texts are let go once what follows the prompt is known."""
CONTINUATIONS_PER_ROW = 16
"""Of those scored without a prompt."""
LEAST_FOR_CONSTANT = 50
MOST_OF_ONE_CHOICE = 0.99


class Question(NamedTuple):
    """An item as the model reads it."""

    item: Item
    shots: int
    encoded: Encoded
    cuts: list[int]
    """Tokens cut from the beginning of the prompt before each choice."""


def ask(
    model: Network,
    tokenizer: Tokenizer,
    framing: Framing,
    wording: Wording,
    chosen: Chosen,
    drop_shots: bool,
    name: str,
) -> list[dict[str, Any]]:
    """Return a `CHOICES` row, but for `model` and `formulation`, for each item.

    A prompt that is too long loses its last examples if `drop_shots`, and then its beginning. `name` is what the
    progress bar says. Raises `UserError` for a choice that no context holds, for letters of several tokens, and for a
    model whose predictions are not numbers.
    """
    limit = model.config.n_positions
    questions = _questions(framing, wording, chosen, drop_shots, limit)
    rows: list[Branching] = []
    groups: list[Any] = []
    for question in questions:
        for cut, places in _by_cut(question.cuts).items():
            tokens = question.encoded.tokens
            rows.append(Branching(tokens.context[cut:], [tokens.continuations[place] for place in places]))
            groups.append("cut" if cut else (question.item["subject"], question.shots))
    alone: list[list[Ids]] = []
    singles: dict[tuple[int, ...], int] = {}
    if wording.formulation == "cloze":
        alone = [framing.alone(wording.asked(question.item, ()).continuations) for question in questions]
        singles = {key: place for place, key in enumerate(dict.fromkeys(tuple(ids) for some in alone for ids in some))}
    unconditional = _rows_without_prompt(list(map(list, singles)), first_token(tokenizer))
    with progress_bar(name, len(rows) + len(unconditional)) as bar:
        found = log_probabilities(
            model, [*rows, *unconditional], [*groups, *["alone"] * len(unconditional)], on_scored=bar.update
        )
    scores = iter(found[: len(rows)])
    single_scores = [score for row in found[len(rows) :] for score in row]
    made = []
    for place, question in enumerate(questions):
        logprobs = [0.0] * len(question.cuts)
        for places in _by_cut(question.cuts).values():
            for choice, score in zip(places, next(scores), strict=True):
                logprobs[choice] = score
        priors = [single_scores[singles[tuple(ids)]] for ids in alone[place]] if alone else None
        made.append(_row(question, logprobs, priors))
    return made


def check_not_constant(rows: Sequence[dict[str, Any]], answers: Sequence[int], formulation: str, folder: str) -> None:
    """Raise `UserError` where one choice is nearly always the likeliest: so do broken runs, with a plausible figure.

    `answers` are the indices of the right ones, in the order of `rows`; they may all be the same themselves.
    """
    if len(rows) < LEAST_FOR_CONSTANT:
        return
    picked = Counter(row["logprobs"].index(max(row["logprobs"])) for row in rows)
    choice, count = picked.most_common(1)[0]
    most = MOST_OF_ONE_CHOICE * len(rows)
    if count > most >= answers.count(choice):
        named = f"the letter {chr(ord('A') + choice)}" if formulation == "letters" else f"choice {choice + 1}"
        raise UserError(
            f"the model in {folder} answers {count} of {len(rows)} items with {named}, whatever is asked, which says "
            f"nothing about it: it is damaged, or too small for this, so check it, remove {formulation} from "
            "benchmark.formulations, or give examples (benchmark.shots: 5)"
        )


def _questions(framing: Framing, wording: Wording, chosen: Chosen, drop_shots: bool, limit: int) -> list[Question]:
    """Return the items in their order, each with as many examples as asked for or as fit."""
    questions: list[Question | None] = [None] * len(chosen.items)
    waiting = list(range(len(chosen.items)))
    count = max(map(len, chosen.shots.values()), default=0)
    while waiting:
        too_long = []
        for start in range(0, len(waiting), ITEMS_PER_CALL):
            places = waiting[start : start + ITEMS_PER_CALL]
            items = [chosen.items[place] for place in places]
            asked = [wording.asked(item, chosen.shots[item["subject"]][:count]) for item in items]
            for place, item, encoded, (_, texts) in zip(places, items, framing.encoded(asked), asked, strict=True):
                if wording.formulation == "letters":
                    check_letters(encoded, texts)
                cuts = [_cut(item, encoded.tokens, choice, limit) for choice in range(len(texts))]
                if drop_shots and count and any(cuts):
                    too_long.append(place)
                else:
                    questions[place] = Question(item, count, encoded, cuts)
        waiting, count = too_long, count - 1
    return [question for question in questions if question is not None]


def _cut(item: Item, tokens: Branching, choice: int, limit: int) -> int:
    """Return how many tokens of the context have to go, so that all but the last of what follows it can be read."""
    size = len(tokens.continuations[choice])
    if not 0 < size <= limit:
        raise UserError(
            f"choice {choice + 1} of item {item['id']} (row {item['source_row']} of the source) has {size} tokens, but "
            f"the model's context holds 1 to {limit}: remove the item"
        )
    return max(0, len(tokens.context) + size - (limit + 1))


def _by_cut(cuts: Sequence[int]) -> dict[int, list[int]]:
    """Return the choices whose prompts are cut alike, so that they share it."""
    places: dict[int, list[int]] = {}
    for choice, cut in enumerate(cuts):
        places.setdefault(cut, []).append(choice)
    return places


def _rows_without_prompt(continuations: Sequence[Ids], first: int) -> list[Branching]:
    return [
        Branching([first], list(continuations[start : start + CONTINUATIONS_PER_ROW]))
        for start in range(0, len(continuations), CONTINUATIONS_PER_ROW)
    ]


def _row(question: Question, logprobs: list[float], unconditional: list[float] | None) -> dict[str, Any]:
    item, tokens, cut = question.item, question.encoded.tokens, max(question.cuts)
    if not all(map(math.isfinite, [*logprobs, *(unconditional or [])])):
        raise UserError(
            f"the model's predictions for item {item['id']} are not numbers: set benchmark.precision to fp32, or check "
            "the model"
        )
    return {
        "id": item["id"],
        "prompt_sha256": hashlib.sha256(question.encoded.prompt.encode("utf-8")).hexdigest(),
        "prompt_tokens": len(tokens.context) - cut,
        "cut_tokens": cut,
        "shots": question.shots,
        "logprobs": logprobs,
        "choice_tokens": [len(ids) for ids in tokens.continuations],
        "unconditional": unconditional,
    }
