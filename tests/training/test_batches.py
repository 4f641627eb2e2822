"""Row order, batch composition and micro-batches."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from reprotune.dataset.collate import TokenRows
from reprotune.dataset.order import epoch_order
from reprotune.params.sections.finetune import FinetuneParams
from reprotune.training.batches import epoch_batches, micro_batches, steps_per_epoch

MakeRows = Callable[..., TokenRows]
MakeParams = Callable[..., FinetuneParams]


@pytest.mark.parametrize("seed", [0, 123])
def test_order_is_that_of_a_dataloader_over_several_epochs(seed: int) -> None:
    torch.manual_seed(seed)
    loader = torch.utils.data.DataLoader(range(50), batch_size=7, shuffle=True)  # type: ignore[arg-type]
    for epoch in range(3):
        assert epoch_order(seed, epoch, 50).tolist() == torch.cat(list(loader)).tolist()


@pytest.mark.parametrize("batching", ["static", "dynamic", "bucketed", "packed"])
def test_an_epoch_visits_every_row_once(batching: str, make_rows: MakeRows, make_params: MakeParams) -> None:
    rows, params = make_rows(45), make_params(batching=batching)
    batches = epoch_batches(rows, 1, params)
    assert sorted(np.concatenate(batches).tolist()) == list(range(45))
    assert len(batches) == steps_per_epoch(45, params) == 6


def test_drop_last_leaves_out_the_incomplete_batch(make_rows: MakeRows, make_params: MakeParams) -> None:
    params = make_params(drop_last=True)
    batches = epoch_batches(make_rows(45), 0, params)
    assert [len(batch) for batch in batches] == [8] * 5
    assert steps_per_epoch(45, params) == 5


def test_buckets_hold_like_lengths(make_rows: MakeRows, make_params: MakeParams) -> None:
    rows = make_rows(400)

    def padding(batching: str) -> int:
        batches = epoch_batches(rows, 0, make_params(batching=batching))
        lengths = [rows.input_lengths[batch] for batch in batches]
        return sum(int(part.max() * len(part) - part.sum()) for part in lengths)

    assert padding("bucketed") < padding("dynamic") / 3


@given(
    st.lists(st.integers(1, 40), min_size=1, max_size=30), st.integers(1, 100), st.sampled_from(["dynamic", "packed"])
)
def test_micro_batches_keep_the_budget_and_the_order(lengths: list[int], budget: int, batching: str) -> None:
    rows = TokenRows.from_lists([([index], [7] * length) for index, length in enumerate(lengths)])
    params = FinetuneParams.model_construct(batching=batching, micro_batch_tokens=budget, mask_instruction=False)
    parts = micro_batches(rows, np.arange(len(rows)), params)
    for part in parts:
        single_row = len(part.row_lengths or part.input_ids) == 1
        assert part.input_ids.numel() <= budget or single_row
    firsts = [part.input_ids[part.positions.expand_as(part.input_ids) == 0].tolist() for part in parts]
    assert np.concatenate(firsts).tolist() == list(range(len(rows)))
