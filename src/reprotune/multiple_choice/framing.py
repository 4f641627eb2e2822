"""From prompts to tokens: as plain text, or inside the instruction template that the model was tuned with.

    plain       ... Answer:| A                         the text as published
    template    ### Instruction:
                ... Answer:

                ### Response:
                |A                                     what a user of the tuned model would send

A plain prompt and what follows it are cut where lm-eval cuts them: the ids of the whole text, from as many on as the
prompt alone has, its trailing blanks left to what follows. In a template the cut is that of training: the response
follows the prompt's own ids, and what counts begins after the response header.
"""

from array import array
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from reprotune.dataset.templates.formatter import Formatter
from reprotune.dataset.tokenizers.encoding import Ids, Tokenizer
from reprotune.errors import UserError
from reprotune.multiple_choice.branches import Branching
from reprotune.multiple_choice.prompts import Asked

ANY_ANSWER = "A"
"""Stands for the answer while a template writes the prompt before it."""


class Encoded(NamedTuple):
    """A prompt's text as the model sees it, and its tokens with those of each continuation."""

    prompt: str
    tokens: Branching


class Framing(Protocol):
    """Puts prompts before a model."""

    def encoded(self, asked: Sequence[Asked]) -> list[Encoded]:
        """Return the tokens of prompts and continuations; each continuation has one at least."""

    def alone(self, continuations: Sequence[str]) -> list[Ids]:
        """Return the ids of continuations without any prompt."""


class PlainText:
    """The text as it is, after the beginning-of-text token of a model that has one."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        begin = tokenizer.beginning_of_text
        self._first = [] if begin is None else [begin]

    def encoded(self, asked: Sequence[Asked]) -> list[Encoded]:
        """See `Framing`."""
        kept = [prompt.rstrip() for prompt, _ in asked]
        texts = [*kept, *(prompt + text for prompt, continuations in asked for text in continuations)]
        ids = self._tokenizer.encode_batch(texts)
        wholes = iter(ids[len(kept) :])
        found = []
        for (prompt, continuations), text, context in zip(asked, kept, ids[: len(kept)], strict=True):
            after = [next(wholes)[len(context) :] for _ in continuations]
            if not all(after):  # the prompt's last token has taken a continuation in: then that is encoded alone
                parts = [prompt[len(text) :] + continuation for continuation in continuations]
                after = self._tokenizer.encode_batch(parts)
            start = self._first + context or [first_token(self._tokenizer)]
            found.append(Encoded(prompt, Branching(array("i", start), after)))
        return found

    def alone(self, continuations: Sequence[str]) -> list[Ids]:
        """See `Framing`."""
        return self._tokenizer.encode_batch(continuations)


class InTemplate:
    """The text as an instruction without input, in the template of `format`; choices stand as responses do."""

    def __init__(self, tokenizer: Tokenizer, formatter: Formatter) -> None:
        self._tokenizer = tokenizer
        self._formatter = formatter

    def encoded(self, asked: Sequence[Asked]) -> list[Encoded]:
        """See `Framing`; raises `UserError` where the template fails on a prompt."""
        fields = {"input": "", "output": ANY_ANSWER, "category": None}
        records = [{"id": str(place), "instruction": prompt, **fields} for place, (prompt, _) in enumerate(asked)]
        found = []
        for (_, continuations), row in zip(asked, self._formatter.records(records), strict=True):
            prompt, header = row["prompt"], row["header"]
            answers = [header + self._as_response(text) for text in continuations]
            header_ids: Ids = []
            if header:
                header_ids = self._tokenizer.encode_rows([(prompt, header)])[0].response_ids
            rows = self._tokenizer.encode_rows([(prompt, answer) for answer in answers])
            given = min(_agreeing(encoded.response_ids, header_ids) for encoded in rows)
            context = rows[0].prompt_ids + rows[0].response_ids[:given]
            after = [encoded.response_ids[given:] for encoded in rows]
            text = self._tokenizer.escapes.plain(prompt) + header
            found.append(Encoded(text, Branching(array("i", context), after)))
        return found

    def alone(self, continuations: Sequence[str]) -> list[Ids]:
        """See `Framing`."""
        return self._tokenizer.encode_batch([text.strip() for text in continuations])

    def _as_response(self, text: str) -> str:
        return self._tokenizer.escapes.escaped(text.strip(), edges=True)


def first_token(tokenizer: Tokenizer) -> int:
    """Return the token after which a text begins: beginning-of-text, or end-of-text where there is none."""
    begin = tokenizer.beginning_of_text
    return tokenizer.end_of_text[0] if begin is None else begin


def check_letters(encoded: Encoded, letters: Sequence[str]) -> None:
    """Raise `UserError` unless each letter is a token of its own, for only then do they compete on equal terms."""
    for letter, ids in zip(letters, encoded.tokens.continuations, strict=True):
        if len(ids) != 1:
            raise UserError(
                f"the tokenizer in data/base writes the answer {letter.strip()!r} in {len(ids)} tokens, but letters "
                "are compared token by token: remove letters from benchmark.formulations"
            )


def _agreeing(ids: Ids, others: Ids) -> int:
    """Return how many ids two lists begin with alike."""
    pairs = zip(ids, others, strict=False)
    return next((place for place, (one, other) in enumerate(pairs) if one != other), min(len(ids), len(others)))
