"""From tokenized rows to batches: shifted targets, masks, padding and packing.

A row is `prompt_ids + response_ids`; the response ends with an end-of-text (here 50256) unless it was truncated. The
network reads all tokens but the last and predicts all but the first:

    row                5   6   7  50256
    input_ids          5   6   7
    targets            6   7  50256

Two layouts of the same rows, with the same loss and gradients:

    padded [2, 3]      5 6 7          packed [1, 4]    5 6 7 | 8
                       8 . .          positions        0 1 2 | 0

A prefix that all packed rows share is laid down once (`shared_prefix`), as far as its targets are shared, too:

    inputs  3 9 5 6    packed [1, 6]    3 | 9 5 6 | 9 8
            3 9 8      positions        0 | 1 2 3 | 1 2
                       counted          2 | 1 1 1 | 1 1    rows that learn from each trained position

Padding inputs are what most rows end with, which is the end-of-text, and padding targets are -100 by *position*, never
by token id, so the end-of-text of a row is always learned.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
import torch
import torch.nn.functional as F
from torch import Tensor

from reprotune.artifacts import TOKENS, TOKENS_TURNS, read_table, schema_of
from reprotune.dataset.packing import packed_positions, row_bounds, shared_prefix

IGNORED = -100
"""Target of positions that are not learned; the value torch's cross entropy ignores by default."""


@dataclass(frozen=True)
class TokenRows:
    """Rows of a tokens artifact in flat arrays: row i is `ids[starts[i]:starts[i + 1]]`."""

    ids: np.ndarray
    starts: np.ndarray
    prompt_lengths: np.ndarray
    learned: np.ndarray | None = None
    """Which of `ids` are learned when instructions are masked; None: those of the responses."""

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read `data/tokens/<split>.parquet`, of instructions or of conversations."""
        table = read_table(path, schema_of(path, TOKENS, TOKENS_TURNS)).combine_chunks()
        prompts, prompt_lengths = _flat(table["prompt_ids"])
        responses, response_lengths = _flat(table["response_ids"])
        rows = cls.join(prompts, prompt_lengths, responses, response_lengths)
        if "trained_spans" not in table.column_names:
            return rows
        return replace(rows, learned=_inside(table["trained_spans"], rows.starts))

    @classmethod
    def from_lists(cls, rows: Sequence[tuple[Sequence[int], Sequence[int]]]) -> Self:
        """Build from (prompt ids, response ids) pairs."""
        prompts = np.concatenate([np.asarray(prompt, dtype=np.int32) for prompt, _ in rows])
        responses = np.concatenate([np.asarray(response, dtype=np.int32) for _, response in rows])
        lengths = np.array([[len(prompt), len(response)] for prompt, response in rows])
        return cls.join(prompts, lengths[:, 0], responses, lengths[:, 1])

    @classmethod
    def join(
        cls, prompts: np.ndarray, prompt_lengths: np.ndarray, responses: np.ndarray, response_lengths: np.ndarray
    ) -> Self:
        """Interleave flat prompts and flat responses into rows."""
        starts = np.concatenate([[0], np.cumsum(prompt_lengths + response_lengths)]).astype(np.int64)
        within = np.arange(starts[-1]) - np.repeat(starts[:-1], np.diff(starts))
        is_prompt = within < np.repeat(prompt_lengths, np.diff(starts))
        ids = np.empty(starts[-1], dtype=np.int32)
        ids[is_prompt] = prompts
        ids[~is_prompt] = responses
        return cls(ids, starts, prompt_lengths.astype(np.int64))

    def __len__(self) -> int:
        return len(self.prompt_lengths)

    @cached_property
    def padding_id(self) -> int:
        """What pads the rows of a batch: the token that most rows end with."""
        last, counts = np.unique(self.ids[self.starts[1:] - 1], return_counts=True)
        return int(last[counts.argmax()])

    @property
    def input_lengths(self) -> np.ndarray:
        """Tokens that the network reads of each row (all but the last), [rows]."""
        return np.diff(self.starts) - 1

    def row(self, index: int) -> np.ndarray:
        """Token ids of one row, prompt and response."""
        return self.ids[self.starts[index] : self.starts[index + 1]]

    def learned_in(self, index: int, mask_instruction: bool) -> np.ndarray:
        """Which tokens of a row are targets that are learned, [tokens] bool; the first one never is."""
        start, end = self.starts[index], self.starts[index + 1]
        learned = np.ones(end - start, dtype=bool)
        if mask_instruction and self.learned is not None:
            learned = self.learned[start:end].copy()
        elif mask_instruction:
            learned[: self.prompt_lengths[index]] = False
        learned[:1] = False
        return learned

    def trained_counts(self, mask_instruction: bool) -> np.ndarray:
        """Targets that are learned in each row, [rows]; with `mask_instruction` the assistant's tokens alone."""
        if not mask_instruction:
            return self.input_lengths
        if self.learned is not None:
            before = np.concatenate([[0], np.cumsum(self.learned)])
            return before[self.starts[1:]] - before[self.starts[:-1]] - self.learned[self.starts[:-1]]
        first_target = np.maximum(self.prompt_lengths, 1)
        return np.diff(self.starts) - first_target


@dataclass(frozen=True)
class Batch:
    """What one forward pass reads, padded or packed.

    Shape legend: B sequences of T positions (B = 1 if packed), M of them trained, R packed rows.
    """

    input_ids: Tensor
    """[B, T] token ids."""
    targets: Tensor
    """[B, T] the token to predict at each position, or -100."""
    trained: Tensor
    """[M] the positions with a target, as indices into the flattened [B * T]."""
    positions: Tensor
    """[1, T] each token's place in its own row."""
    counted: Tensor
    """[M] float32, in how many rows each trained position counts: 1, or more in a shared prefix, or 0 for padding."""
    bounds: Tensor | None = None
    """[R + 1] int32, where each packed row starts and the last one ends; None if padded or with a shared prefix."""
    row_lengths: tuple[int, ...] | None = None
    """Lengths of the packed rows, without the shared prefix; None for padded batches."""
    longest: int = 0
    """At least the length of the longest packed row."""
    prefix: int = 0
    """Tokens at the start of a packed sequence that belong to every row."""

    @property
    def spared(self) -> int:
        """Positions that need not be computed because rows share them."""
        return self.prefix * (len(self.row_lengths or ()) - 1)

    @property
    def tensors(self) -> dict[str, Tensor]:
        """Its tensors by name, in a fixed order."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if isinstance(value, Tensor)}

    def to(self, device: torch.device, copy: bool = False) -> "Batch":
        """Move to a device without waiting for the transfer; with `copy`, never share memory with this batch."""
        moved: dict[str, Any] = {
            name: tensor.to(device, non_blocking=True, copy=copy) for name, tensor in self.tensors.items()
        }
        return replace(self, **moved)

    def padded(self, positions: int, trained: int, rows: int, longest: int) -> "Batch":
        """Pad a packed batch on the CPU to fixed sizes, without any effect on loss and gradients.

        Further tokens form rows of at most `longest` tokens that are never learned, further rows are empty, and further
        trained positions count 0 times:

            tokens     a a a b b . . .
            bounds     0 3 5 8 8 8
            counted    1 1 1 1 0 0
        """
        if self.bounds is None:
            raise ValueError("only packed batches without a shared prefix can be padded")
        used = self.input_ids.numel()
        ends = [*range(used + longest, positions, longest), positions]
        bounds = torch.cat([self.bounds, torch.tensor(ends), torch.full((rows,), positions)])[: rows + 1]
        unused = trained - len(self.trained)
        return Batch(
            input_ids=F.pad(self.input_ids, (0, positions - used)),
            targets=F.pad(self.targets, (0, positions - used), value=IGNORED),
            trained=F.pad(self.trained, (0, unused), value=int(self.trained[-1]) if unused else 0),
            positions=F.pad(self.positions, (0, positions - used)),
            counted=F.pad(self.counted, (0, unused)),
            bounds=bounds.to(torch.int32),
            row_lengths=tuple(bounds.diff().tolist()),
            longest=longest,
        )


def pad_rows(
    rows: TokenRows,
    chosen: Sequence[int],
    mask_instruction: bool,
    width: int | None = None,
    padding_id: int | None = None,
) -> Batch:
    """Lay rows under one another, padded on the right to `width` or to the longest of them.

    Padding is `padding_id`, or what most of all rows end with. Returns a batch of [len(chosen), width] int64. Source
    of the layout: the book chapter's collate function.
    """
    width = width or int(rows.input_lengths[list(chosen)].max())
    padding_id = rows.padding_id if padding_id is None else padding_id
    input_ids = np.full((len(chosen), width), padding_id, dtype=np.int64)
    targets = np.full((len(chosen), width), IGNORED, dtype=np.int64)
    for line, index in enumerate(chosen):
        inputs, wanted = _shifted(rows, index, mask_instruction)
        input_ids[line, : len(inputs)] = inputs
        targets[line, : len(wanted)] = wanted
    return _batch(input_ids, targets, np.arange(width, dtype=np.int64)[None])


def pack_rows(rows: TokenRows, chosen: Sequence[int], mask_instruction: bool, share_prefix: bool = False) -> Batch:
    """Lay rows one after another in a single sequence without padding; positions start again at each row.

    Returns a batch of [1, sum of lengths] int64, less what is shared. Attention has to keep the rows apart
    (`reprotune.model.attention`). With `share_prefix`, tokens that all rows start with are laid down once; a position
    is shared only where its target is, too.
    """
    shifted = [_shifted(rows, index, mask_instruction) for index in chosen]
    prefix = max(shared_prefix([rows.row(index) for index in chosen]) - 1, 0) if share_prefix else 0
    own_ids, own_targets = [ids[prefix:] for ids, _ in shifted], [wanted[prefix:] for _, wanted in shifted]
    lengths = tuple(map(len, own_ids))
    positions = packed_positions(lengths, prefix).numpy()
    if not prefix:
        batch = _batch(_line(own_ids), _line(own_targets), _line([positions]))
        return replace(batch, bounds=row_bounds(lengths), row_lengths=lengths, longest=max(lengths))
    in_prefix = np.stack([wanted[:prefix] for _, wanted in shifted])
    batch = _batch(
        _line([shifted[0][0][:prefix], *own_ids]),
        _line([in_prefix.max(axis=0), *own_targets]),  # a target, where any row learns it; -100 is less than all ids
        _line([np.arange(prefix, dtype=np.int64), positions]),
        learners=(in_prefix != IGNORED).sum(axis=0),
    )
    return replace(batch, row_lengths=lengths, longest=max(lengths), prefix=prefix)


def _batch(
    input_ids: np.ndarray, targets: np.ndarray, positions: np.ndarray, learners: np.ndarray | None = None
) -> Batch:
    """Wrap arrays; the trained positions are found here, on the CPU, so that a GPU never waits for them.

    `learners` [P]: in how many rows each position of a shared prefix is learned.
    """
    trained = np.flatnonzero(targets != IGNORED)
    counted = np.ones(len(trained), dtype=np.float32)
    if learners is not None:
        in_prefix = trained < len(learners)
        counted[in_prefix] = learners[trained[in_prefix]]
    arrays = (torch.from_numpy(array) for array in (input_ids, targets, trained, positions, counted))
    return Batch(*arrays)  # type: ignore[arg-type]


def _line(parts: Sequence[np.ndarray]) -> np.ndarray:
    return np.concatenate(parts)[None]


def _shifted(rows: TokenRows, index: int, mask_instruction: bool) -> tuple[np.ndarray, np.ndarray]:
    ids = rows.row(index).astype(np.int64)
    return ids[:-1], np.where(rows.learned_in(index, mask_instruction)[1:], ids[1:], IGNORED)


def _inside(column: pa.ChunkedArray, starts: np.ndarray) -> np.ndarray:
    """Return which tokens of all rows lie within the spans of their row, [tokens] bool."""
    array = column.combine_chunks()
    first = np.repeat(starts[:-1], array.value_lengths().to_numpy(zero_copy_only=False))
    changes = np.zeros(starts[-1] + 1, dtype=np.int64)
    spans = array.flatten()
    np.add.at(changes, first + spans.field("start").to_numpy(zero_copy_only=False), 1)
    np.add.at(changes, first + spans.field("end").to_numpy(zero_copy_only=False), -1)
    return changes[:-1].cumsum() > 0


def _flat(column: pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
    array = column.combine_chunks()
    lengths = array.value_lengths().to_numpy(zero_copy_only=False).astype(np.int64)
    return array.flatten().to_numpy(zero_copy_only=False), lengths
