"""From formatted text to token ids: prompt and response encoded, cut to length, counted.

A row's text is `prompt_ids + response_ids`, and the prompt ids are those that generation uses, which has the prompt
alone. The price is that a byte pair across the seam is not merged as it would be in the joint text. Such disagreements
are counted. Of a conversation's prompt, the tokens that start in a turn of the assistant may be learned, too.
"""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from reprotune.artifacts import (
    FORMATTED,
    FORMATTED_TURNS,
    TOKENS,
    TOKENS_TURNS,
    count_rows,
    iter_batches,
    schema_of,
    table_writer,
)
from reprotune.console import progress_bar
from reprotune.dataset.tokenizers.encoding import Ids, Row, Tokenizer
from reprotune.errors import UserError

PADDING_BATCH_SIZE = 8


class TokenCounts:
    """What was kept, cut and dropped in one split."""

    def __init__(self) -> None:
        self.lengths: list[int] = []
        self.trained: list[int] = []
        self.spans: list[int] = []
        self.events: Counter[str] = Counter()

    def add(self, length: int, trained: int, spans: int = 0) -> None:
        """Count a row that was kept, its tokens, those that are learned, and in how many stretches these are."""
        self.lengths.append(length)
        self.trained.append(trained)
        self.spans.append(spans)

    def summary(self) -> dict[str, Any]:
        """Return the split's part of summary.json; needs at least one row."""
        lengths = np.array(self.lengths)
        places = {"min": 0.0, "p25": 0.25, "median": 0.5, "p75": 0.75, "p95": 0.95, "p99": 0.99, "max": 1.0}
        quantiles = np.quantile(lengths, list(places.values()), method="inverted_cdf")
        spans = {"trained_turns": sum(self.spans)} if any(self.spans) else {}
        return {
            "rows": len(lengths),
            "tokens": int(lengths.sum()),
            "trained_token_share": round(float(sum(self.trained) / lengths.sum()), 6),
            **spans,
            "length": dict(zip(places, map(int, quantiles), strict=True)),
            "truncated_prompts": self.events["truncated_prompt"],
            "truncated_responses": self.events["truncated_response"],
            "dropped": self.events["too_long"] + self.events["nothing_to_learn"],
            "dropped_too_long": self.events["too_long"],
            "dropped_nothing_to_learn": self.events["nothing_to_learn"],
            "seam_disagreements": self.events["seam_disagreement"],
            "padding_share": padding_shares(lengths),
        }


def tokenize_file(
    source: Path, target: Path, tokenizer: Tokenizer, max_length: int, on_too_long: str
) -> dict[str, Any]:
    """Tokenize a `FORMATTED` or `FORMATTED_TURNS` file, a batch at a time, and return the split's summary.

    What is written is `TOKENS` or `TOKENS_TURNS`. `max_length` counts prompt, response and end-of-text. Raises
    `UserError` if no row is left, or if `on_too_long` is `fail` and a row is too long.
    """
    counts = TokenCounts()
    formatted = schema_of(source, FORMATTED, FORMATTED_TURNS)
    with (
        table_writer(target, TOKENS if formatted is FORMATTED else TOKENS_TURNS) as writer,
        progress_bar(f"tokenize {source.stem}", count_rows(source, formatted), "row") as bar,
    ):
        for batch in iter_batches(source, formatted):
            try:
                writer.write_rows(_tokenize_batch(batch, tokenizer, max_length, on_too_long, counts))
            except UserError as error:
                raise UserError(f"{source}: {error}") from error
            bar.update(batch.num_rows)
    if not counts.lengths:
        raise UserError(
            f"{source}: no row is left to learn from with tokenize.max_length {max_length}: raise it, or choose "
            "another tokenize.on_too_long"
        )
    return counts.summary()


def fit(prompt_ids: Ids, response_ids: Ids, max_length: int, policy: str, kept: int = 0) -> tuple[Ids, Ids, str | None]:
    """Make one row no longer than `max_length` and report what was done to it.

    `response_ids` ends with end-of-text; the first `kept` of `prompt_ids` are never cut, e.g. a beginning-of-text. The
    last item is None, `truncated_prompt` (cut from the left, so that the
    response header at its end stays), `truncated_response` (cut from the right, end-of-text included: a cut answer
    does not teach the model to stop), `too_long` (the row is dropped; also when `fail` is the policy, for the caller
    to refuse) or `nothing_to_learn` (dropped: prompt or response would be empty).
    """
    event = None
    excess = len(prompt_ids) + len(response_ids) - max_length
    if excess > 0:
        if policy == "truncate_prompt":
            rest = prompt_ids[kept + excess :]
            prompt_ids, event = prompt_ids[:kept] + rest if rest else [], "truncated_prompt"
        elif policy == "truncate_response":
            response_ids, event = response_ids[: max(0, len(response_ids) - excess)], "truncated_response"
        else:
            return prompt_ids, response_ids, "too_long"
    if not prompt_ids or not response_ids:
        event = "nothing_to_learn"
    return prompt_ids, response_ids, event


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


def _tokenize_batch(
    batch: pa.RecordBatch, tokenizer: Tokenizer, max_length: int, policy: str, counts: TokenCounts
) -> list[dict[str, Any]]:
    """Return the rows of a batch that are kept, as ids, and count them and all others."""
    turns = batch["turns"].to_pylist() if "turns" in batch.schema.names else None
    texts: list[Row] = (
        [[turn["text"] for turn in row] for row in turns]
        if turns
        else list(zip(batch["prompt"].to_pylist(), batch["response"].to_pylist(), strict=True))
    )
    kept_rows = []
    for row, (identifier, encoded) in enumerate(
        zip(batch["id"].to_pylist(), tokenizer.encode_rows(texts), strict=True)
    ):
        response_ids = encoded.response_ids
        if not any(token in tokenizer.end_of_text for token in response_ids):  # the template writes none
            response_ids = [*response_ids, tokenizer.end_of_text[0]]
        kept = int(encoded.prompt_ids[:1] == [tokenizer.beginning_of_text])
        whole = len(encoded.prompt_ids) + len(response_ids)
        prompt_ids, response_ids, event = fit(encoded.prompt_ids, response_ids, max_length, policy, kept)
        if event is not None:
            counts.events[event] += 1
        if event == "too_long" and policy == "fail":
            raise UserError(
                f"row {identifier} has {whole} tokens, but tokenize.max_length is {max_length}: shorten the row, or "
                "set tokenize.on_too_long to drop, truncate_prompt or truncate_response"
            )
        if event in ("too_long", "nothing_to_learn"):
            continue
        counts.events["seam_disagreement"] += not encoded.seam_agrees
        made = {"id": identifier, "prompt_ids": prompt_ids, "response_ids": response_ids}
        if turns:
            learned = np.array([turn["trained"] for turn in turns[row]])[encoded.segments]
            learned = np.concatenate([learned[:kept], learned[len(learned) - len(prompt_ids) + kept :]])
            made["trained_spans"] = spans(np.append(learned, np.ones(len(response_ids), dtype=bool)))
            trained = sum(span["end"] - span["start"] for span in made["trained_spans"])
            counts.add(len(prompt_ids) + len(response_ids), trained, len(made["trained_spans"]))
        else:
            counts.add(len(prompt_ids) + len(response_ids), len(response_ids))
        kept_rows.append(made)
    return kept_rows


def spans(learned: npt.NDArray[np.bool_]) -> list[dict[str, int]]:
    """Return the stretches of a row's tokens that are learned, in order; the end of each is not included."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], learned, [False]]).astype(np.int8)))
    return [{"start": int(start), "end": int(end)} for start, end in zip(edges[::2], edges[1::2], strict=True)]
