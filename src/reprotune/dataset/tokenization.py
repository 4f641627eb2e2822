"""From formatted text to token ids: prompt and response encoded separately, cut to length, counted.

A row's text is `prompt_ids + response_ids`, and the prompt ids are those that generation uses. Encoding the two
parts separately ensures that; the price is that a byte pair across the seam is not merged as it would be in the
joint text. Such disagreements are counted.
"""

import re
from collections import Counter
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from reprotune.artifacts import FORMATTED, TOKEN_IDS, TOKENS, count_rows, iter_batches, table_writer
from reprotune.console import progress_bar
from reprotune.dataset.tokenizers.gpt2 import END_OF_TEXT, encode_batch, load
from reprotune.errors import UserError

Ids = list[int]

PADDING_BATCH_SIZE = 8

# A GPT-2 pre-token holds white space at its start or throughout, never after another character. So a space or line
# break right after such a character always starts a new pre-token, whatever surrounds it.
LAST_CERTAIN_BREAK = re.compile(r".*\S(?=[ \n])", re.DOTALL)
FIRST_CERTAIN_BREAK = re.compile(r"\S(?=[ \n])")


class TokenCounts:
    """What was kept, cut and dropped in one split."""

    def __init__(self) -> None:
        self.prompt_lengths: list[int] = []
        self.response_lengths: list[int] = []
        self.events: Counter[str] = Counter()

    def summary(self) -> dict[str, Any]:
        """Return the split's part of summary.json; needs at least one row."""
        prompts, responses = np.array(self.prompt_lengths), np.array(self.response_lengths)
        lengths = prompts + responses
        places = {"min": 0.0, "p25": 0.25, "median": 0.5, "p75": 0.75, "p95": 0.95, "p99": 0.99, "max": 1.0}
        quantiles = np.quantile(lengths, list(places.values()), method="inverted_cdf")
        return {
            "rows": len(lengths),
            "tokens": int(lengths.sum()),
            "trained_token_share": round(float(responses.sum() / lengths.sum()), 6),
            "length": dict(zip(places, map(int, quantiles), strict=True)),
            "truncated_prompts": self.events["truncated_prompt"],
            "truncated_responses": self.events["truncated_response"],
            "dropped": self.events["too_long"] + self.events["nothing_to_learn"],
            "dropped_too_long": self.events["too_long"],
            "dropped_nothing_to_learn": self.events["nothing_to_learn"],
            "seam_disagreements": self.events["seam_disagreement"],
            "padding_share": padding_shares(lengths),
        }


def tokenize_file(source: Path, target: Path, max_length: int, on_too_long: str) -> dict[str, Any]:
    """Tokenize a `FORMATTED` file into a `TOKENS` file, a batch at a time, and return the split's summary.

    `max_length` counts prompt, response and end-of-text. Raises `UserError` if no row is left, or if
    `on_too_long` is `fail` and a row is too long.
    """
    counts = TokenCounts()
    with (
        table_writer(target, TOKENS) as writer,
        progress_bar(f"tokenize {source.stem}", count_rows(source, FORMATTED), "row") as bar,
    ):
        for batch in iter_batches(source, FORMATTED):
            try:
                writer.write(_tokenize_batch(batch, max_length, on_too_long, counts))
            except UserError as error:
                raise UserError(f"{source}: {error}") from error
            bar.update(batch.num_rows)
    if not counts.prompt_lengths:
        raise UserError(
            f"{source}: no row is left to learn from with tokenize.max_length {max_length}: raise it, or choose "
            "another tokenize.on_too_long"
        )
    return counts.summary()


def fit(prompt_ids: Ids, response_ids: Ids, max_length: int, policy: str) -> tuple[Ids, Ids, str | None]:
    """Make one row no longer than `max_length` and report what was done to it.

    `response_ids` ends with end-of-text. The last item is None, `truncated_prompt` (cut from the left, so that the
    response header at its end stays), `truncated_response` (cut from the right, end-of-text included: a cut answer
    does not teach the model to stop), `too_long` (the row is dropped; also when `fail` is the policy, for the caller
    to refuse) or `nothing_to_learn` (dropped: prompt or response would be empty).
    """
    event = None
    excess = len(prompt_ids) + len(response_ids) - max_length
    if excess > 0:
        if policy == "truncate_prompt":
            prompt_ids, event = prompt_ids[excess:], "truncated_prompt"
        elif policy == "truncate_response":
            response_ids, event = response_ids[: max(0, len(response_ids) - excess)], "truncated_response"
        else:
            return prompt_ids, response_ids, "too_long"
    if not prompt_ids or not response_ids:
        event = "nothing_to_learn"
    return prompt_ids, response_ids, event


def seam_agrees(prompt: str, response: str) -> bool:
    """Tell whether encoding prompt and response separately gives the ids of encoding them together; exact.

    GPT-2 first cuts text into pre-tokens, left to right and without looking back, then merges within each. Only the
    pre-tokens around the seam can differ, so it is enough to compare from the last certain break of the prompt to
    the first of the response.
    """
    before = LAST_CERTAIN_BREAK.match(prompt)
    after = FIRST_CERTAIN_BREAK.search(response)
    return _agrees(prompt[before.end() :] if before else prompt, response[: after.end()] if after else response)


@lru_cache(maxsize=1 << 16)
def _agrees(tail: str, head: str) -> bool:
    encode = load().encode_ordinary
    return encode(tail) + encode(head) == encode(tail + head)


def padding_shares(lengths: npt.NDArray[np.int64], batch_size: int = PADDING_BATCH_SIZE) -> dict[str, float]:
    """Return the share of padding among the positions that the model would compute, for each batching mode.

    A row of n ids has n - 1 inputs (the last id is only a target). Batches are taken in file order, for `bucketed`
    in order of length; the last one may be smaller. `packed` rows follow one another without padding.
    """
    inputs = lengths - 1
    longest = int(inputs.max())
    batches = {"dynamic": inputs, "bucketed": np.sort(inputs)}
    computed = {"static": longest * len(inputs)}
    for mode, ordered in batches.items():
        starts = np.arange(0, len(ordered), batch_size)
        widths = np.maximum.reduceat(ordered, starts)
        rows = np.diff(starts, append=len(ordered))
        computed[mode] = int((widths * rows).sum())
    shares = {mode: round(1 - int(inputs.sum()) / positions, 6) for mode, positions in computed.items()}
    return {**shares, "packed": 0.0}


def _tokenize_batch(batch: pa.RecordBatch, max_length: int, policy: str, counts: TokenCounts) -> pa.Table:
    identifiers, prompts, responses = (batch[name].to_pylist() for name in ("id", "prompt", "response"))
    encoded = encode_batch(prompts + responses)
    kept: dict[str, list[Any]] = {"id": [], "prompt_ids": [], "response_ids": []}
    for row, identifier in enumerate(identifiers):
        whole_prompt, whole_response = encoded[row], [*encoded[len(prompts) + row], END_OF_TEXT]
        prompt_ids, response_ids, event = fit(whole_prompt, whole_response, max_length, policy)
        if event is not None:
            counts.events[event] += 1
        if event == "too_long" and policy == "fail":
            raise UserError(
                f"row {identifier} has {len(whole_prompt) + len(whole_response)} tokens, but tokenize.max_length is "
                f"{max_length}: shorten the row, or set tokenize.on_too_long to drop, truncate_prompt or "
                "truncate_response"
            )
        if event in ("too_long", "nothing_to_learn"):
            continue
        counts.events["seam_disagreement"] += not seam_agrees(prompts[row], responses[row])
        counts.prompt_lengths.append(len(prompt_ids))
        counts.response_lengths.append(len(response_ids))
        kept["id"].append(identifier)
        kept["prompt_ids"].append(prompt_ids)
        kept["response_ids"].append(response_ids)
    return pa.table(
        [
            pa.array(kept["id"], pa.string()),
            pa.array(kept["prompt_ids"], TOKEN_IDS),
            pa.array(kept["response_ids"], TOKEN_IDS),
        ],
        schema=TOKENS,
    )
