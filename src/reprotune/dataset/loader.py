"""Tokenized rows for programs of one's own: a torch `Dataset`, what deals it into steps, and what collates a batch.

Nothing here needs DVC or params.yaml. The batches are those of the stage `finetune` under the same settings:

    rows = TokensDataset(Path("data/tokens/train.parquet"), mask_instruction=True)
    steps = StepSampler(rows, batch_size=16, seed=123, batching="packed")
    loader = DataLoader(rows, batch_sampler=steps, collate_fn=partial(collate, batching="packed"))
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from torch.utils.data import Dataset, Sampler

from reprotune.dataset.collate import Batch, TokenRows, pack_rows, pad_rows
from reprotune.dataset.order import steps_of_epoch

Batching = Literal["static", "dynamic", "bucketed", "packed"]
"""How rows are laid out, as `finetune.batching` in params.yaml."""


class TokenRow(NamedTuple):
    """One row: its tokens, and which of them are learned as targets."""

    ids: np.ndarray
    """[tokens] int32."""
    learned: np.ndarray
    """[tokens] bool; the first one never is, for nothing predicts it."""


class TokensDataset(Dataset[TokenRow]):
    """The rows of `data/tokens/<split>.parquet`, of instructions or of conversations.

    With `mask_instruction` only the assistant's tokens are learned. Raises `UserError` for a file that is no such one.
    """

    def __init__(self, path: Path, mask_instruction: bool = True) -> None:
        self.rows = TokenRows.read(path)
        self.mask_instruction = mask_instruction

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> TokenRow:
        return TokenRow(self.rows.row(index), self.rows.learned_in(index, self.mask_instruction))

    @property
    def longest(self) -> int:
        """Inputs of the longest row: the width of every batch under `static`."""
        return int(self.rows.input_lengths.max())

    @property
    def padding_id(self) -> int:
        """The token that most rows end with, which the stage pads with."""
        return self.rows.padding_id


class StepSampler(Sampler[list[int]]):
    """The rows of each optimizer step of an epoch, in the stage's order; `set_epoch` chooses the epoch, at first 0."""

    def __init__(
        self, dataset: TokensDataset, batch_size: int, seed: int, batching: Batching = "packed", drop_last: bool = False
    ) -> None:
        self._lengths = dataset.rows.input_lengths
        self._settings = (seed, batch_size, batching == "bucketed", drop_last)
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Deal the rows as in this epoch, counted from 0."""
        self._epoch = epoch

    def __iter__(self) -> Iterator[list[int]]:
        for chosen in steps_of_epoch(self._lengths, self._epoch, *self._settings):
            yield chosen.tolist()

    def __len__(self) -> int:
        return len(steps_of_epoch(self._lengths, self._epoch, *self._settings))


def collate(
    rows: Sequence[TokenRow],
    batching: Batching = "packed",
    padding_id: int | None = None,
    width: int | None = None,
    share_prefix: bool = False,
) -> Batch:
    """Lay the rows of a batch out for one forward pass; to be bound with `functools.partial` for a `DataLoader`.

    `padding_id` fills padded rows (default: the token that most of these rows end with), `width` is what they are
    padded to (default: the longest of them; `static` needs `TokensDataset.longest`). With `share_prefix`, packed rows
    share what they all begin with.
    """
    if batching == "static" and width is None:
        raise ValueError("static batches have one width: give the dataset's `longest`")
    ids, learned = (np.concatenate(parts) for parts in zip(*rows, strict=True))
    starts = np.cumsum([0, *(len(row.ids) for row in rows)])
    flat = TokenRows(ids, starts, np.zeros(len(rows), dtype=np.int64), learned)
    chosen = range(len(rows))
    if batching == "packed":
        return pack_rows(flat, chosen, mask_instruction=True, share_prefix=share_prefix)
    return pad_rows(flat, chosen, mask_instruction=True, width=width, padding_id=padding_id)
