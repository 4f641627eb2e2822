"""Batches for programs of one's own are the stage's."""

from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from torch.utils.data import DataLoader

from reprotune.artifacts import TOKENS, TOKENS_TURNS, write_table
from reprotune.dataset.collate import TokenRows
from reprotune.dataset.loader import Batching, StepSampler, TokensDataset, collate
from reprotune.params.sections.finetune import FinetuneParams
from reprotune.training.batches import epoch_batches, micro_batches

END = 99


@pytest.fixture(params=[TOKENS, TOKENS_TURNS], ids=["instructions", "conversations"])
def tokens(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """Rows of many lengths with a common opening."""
    random = np.random.default_rng(5)
    rows = []
    for number in range(50):
        prompt = [*range(9), *random.integers(10, 90, random.integers(1, 20)).tolist()]
        response = [*random.integers(10, 90, random.integers(0, 9)).tolist(), END]
        whole = len(prompt) + len(response)
        spans = [{"start": 2, "end": 5}, {"start": len(prompt), "end": whole}]
        rows.append({"id": str(number), "prompt_ids": prompt, "response_ids": response, "trained_spans": spans})
    path = tmp_path / "train.parquet"
    write_table(
        path, pa.Table.from_pylist([{n: row[n] for n in request.param.names} for row in rows], schema=request.param)
    )
    return path


@pytest.mark.parametrize("mask", [True, False])
@pytest.mark.parametrize("batching", ["static", "dynamic", "bucketed", "packed"])
def test_a_data_loader_gives_the_stages_batches(tokens: Path, batching: Batching, mask: bool) -> None:
    params = FinetuneParams.model_construct(
        seed=7, batch_size=8, drop_last=True, batching=batching, micro_batch_tokens=10**6, mask_instruction=mask
    )
    rows = TokenRows.read(tokens)
    dataset = TokensDataset(tokens, mask)
    steps = StepSampler(dataset, batch_size=8, seed=7, batching=batching, drop_last=True)
    width = dataset.longest if batching == "static" else None
    lay_out = partial(collate, batching=batching, padding_id=dataset.padding_id, width=width, share_prefix=True)
    loader = DataLoader(dataset, batch_sampler=steps, collate_fn=lay_out)
    for epoch in range(2):
        steps.set_epoch(epoch)
        batches = list(loader)
        expected = [micro_batches(rows, chosen, params, True) for chosen in epoch_batches(rows, epoch, params)]
        assert len(batches) == len(expected) == len(steps) == 6
        for batch, (wanted,) in zip(batches, expected, strict=True):
            assert batch.tensors.keys() == wanted.tensors.keys()
            assert all(torch.equal(tensor, wanted.tensors[name]) for name, tensor in batch.tensors.items())
            assert (batch.row_lengths, batch.longest, batch.prefix) == (
                wanted.row_lengths,
                wanted.longest,
                wanted.prefix,
            )
    assert {END} == set(rows.ids[rows.starts[1:] - 1].tolist()) and dataset.padding_id == END


def test_the_rows_of_a_dataset_say_what_is_learned(tokens: Path) -> None:
    rows = TokenRows.read(tokens)
    for mask in (True, False):
        learned = [row.learned for row in (TokensDataset(tokens, mask)[index] for index in range(len(rows)))]
        assert [int(places.sum()) for places in learned] == rows.trained_counts(mask).tolist()
        assert not any(places[0] for places in learned)


def test_static_batches_need_a_width(tokens: Path) -> None:
    with pytest.raises(ValueError, match="longest"):
        collate([TokensDataset(tokens)[0]], batching="static")
