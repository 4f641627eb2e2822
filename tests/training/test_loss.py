"""The summed loss and its gradients against plain torch; packed rows against rows alone."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from reprotune.compute.device import Compute
from reprotune.dataset.collate import IGNORED, TokenRows, pack_rows, pad_rows
from reprotune.model.attention import BlockAttention
from reprotune.model.network import Network
from reprotune.training import loss as loss_module
from reprotune.training.loss import batch_loss, linear_cross_entropy

MakeRows = Callable[..., TokenRows]
MakeModel = Callable[..., Network]

CPU = Compute(torch.device("cpu"), torch.float32)


@pytest.mark.parametrize("vocabulary_multiple", [1, 64])
@pytest.mark.parametrize("positions", [0, 1, 7, 64])
def test_loss_and_gradients_equal_cross_entropy(
    positions: int, vocabulary_multiple: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loss_module, "CHUNK_POSITIONS", 16)
    monkeypatch.setattr(Compute, "vocabulary_multiple", vocabulary_multiple)
    generator = torch.Generator().manual_seed(positions)
    hidden = torch.randn(positions, 12, generator=generator, requires_grad=True)
    weight = torch.randn(90, 12, generator=generator, requires_grad=True)
    targets = torch.randint(0, 90, (positions,), generator=generator)
    ours = linear_cross_entropy(hidden, weight, targets, torch.ones(len(targets)))
    ours_grads = torch.autograd.grad(3 * ours, [hidden, weight])
    theirs = F.cross_entropy(hidden @ weight.T, targets, reduction="sum")
    theirs_grads = torch.autograd.grad(3 * theirs, [hidden, weight])
    torch.testing.assert_close(ours, theirs)
    for mine, other in zip(ours_grads, theirs_grads, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-5)


def test_certain_and_hopeless_predictions_stay_finite() -> None:
    """The probability of the wanted token underflows; its loss does not."""
    hidden = torch.tensor([[300.0], [-300.0]], requires_grad=True)
    weight = torch.tensor([[1.0], [-1.0]])
    loss = linear_cross_entropy(hidden, weight, torch.tensor([0, 0]), torch.ones(2))
    loss.backward()
    assert loss.item() == 600.0
    assert hidden.grad is not None and hidden.grad.tolist() == [[0.0], [-2.0]]


def test_frozen_parts_get_no_gradient() -> None:
    hidden = torch.randn(4, 3, requires_grad=True)
    weight = torch.randn(5, 3)
    linear_cross_entropy(hidden, weight, torch.tensor([0, 1, 2, 3]), torch.ones(4)).backward()
    assert weight.grad is None
    assert hidden.grad is not None


def test_a_batch_equals_the_naive_loss(make_rows: MakeRows, make_model: MakeModel) -> None:
    rows, model = make_rows(6), make_model()
    batch = pad_rows(rows, range(6), mask_instruction=True)
    logits = model.logits(model(batch.input_ids))
    naive = F.cross_entropy(logits.flatten(0, 1), batch.targets.flatten(), ignore_index=IGNORED, reduction="sum")
    torch.testing.assert_close(batch_loss(model, batch, CPU), naive)


def test_packed_rows_read_as_if_alone(make_rows: MakeRows, make_model: MakeModel) -> None:
    rows, model = make_rows(9), make_model()
    batch = pack_rows(rows, range(9), mask_instruction=False)
    assert batch.row_lengths is not None
    packed = model(batch.input_ids, batch.positions, BlockAttention(batch.row_lengths, torch.device("cpu")))[0]
    for index, part in enumerate(packed.split(list(batch.row_lengths))):
        alone = model(torch.from_numpy(rows.row(index)[:-1].astype("int64"))[None])[0]
        torch.testing.assert_close(part, alone, rtol=1e-5, atol=1e-5)


def test_changing_one_row_never_moves_another(make_rows: MakeRows, make_model: MakeModel) -> None:
    rows, model = make_rows(5), make_model()
    batch = pack_rows(rows, range(5), mask_instruction=False)
    assert batch.row_lengths is not None
    attend = BlockAttention(batch.row_lengths, torch.device("cpu"))
    changed_ids = batch.input_ids.clone()
    start = sum(batch.row_lengths[:2])
    changed_ids[0, start : start + batch.row_lengths[2]] += 1
    before = model(batch.input_ids, batch.positions, attend)[0].split(list(batch.row_lengths))
    after = model(changed_ids, batch.positions, attend)[0].split(list(batch.row_lengths))
    for index in (0, 1, 3, 4):
        assert torch.equal(before[index], after[index])
    assert not torch.equal(before[2], after[2])


@pytest.mark.parametrize("mask", [False, True])
def test_a_shared_prefix_moves_neither_loss_nor_gradients(
    mask: bool, make_rows: MakeRows, make_model: MakeModel
) -> None:
    compare_apart_and_shared(make_rows(9), make_model(), mask, prefix=9)


def test_a_shared_prefix_that_only_some_rows_learn(make_model: MakeModel) -> None:
    """Responses that begin inside the opening: each of its positions counts as often as rows learn it."""
    random = np.random.default_rng(4)
    opening = list(range(20))
    tails = [random.integers(0, 200, random.integers(1, 30)).tolist() for _ in range(9)]
    rows = TokenRows.from_lists([(opening[: 3 * row], opening[3 * row :] + tail) for row, tail in enumerate(tails)])
    compare_apart_and_shared(rows, make_model(), mask=True, prefix=19)


def compare_apart_and_shared(rows: TokenRows, model: Network, mask: bool, prefix: int) -> None:
    """The same loss and gradients from nine rows, whether their opening is shared or not."""
    apart, shared = (pack_rows(rows, range(9), mask, share_prefix=share) for share in (False, True))
    assert shared.prefix == prefix
    assert shared.input_ids.numel() == apart.input_ids.numel() - shared.spared == apart.input_ids.numel() - 8 * prefix
    assert shared.counted.sum() == apart.counted.sum() == len(apart.trained)
    found = []
    for batch in (apart, shared):
        model.zero_grad()
        loss = batch_loss(model, batch, CPU)
        loss.backward()
        found.append([loss.detach(), *(p.grad for p in model.parameters() if p.grad is not None)])
    for mine, plain in zip(found[1], found[0], strict=True):
        torch.testing.assert_close(mine, plain, rtol=1e-5, atol=1e-5)


def test_with_a_shared_prefix_one_row_never_moves_another(make_rows: MakeRows, make_model: MakeModel) -> None:
    """Nor the prefix, which cannot see what follows."""
    rows, model = make_rows(5), make_model()
    batch = pack_rows(rows, range(5), mask_instruction=False, share_prefix=True)
    assert batch.row_lengths is not None
    attend = BlockAttention(batch.row_lengths, torch.device("cpu"), batch.prefix)
    parts = [batch.prefix, *batch.row_lengths]
    changed_ids = batch.input_ids.clone()
    start = sum(parts[:3])
    changed_ids[0, start : start + parts[3]] += 1
    before = model(batch.input_ids, batch.positions, attend)[0].split(parts)
    after = model(changed_ids, batch.positions, attend)[0].split(parts)
    for index in (0, 1, 2, 4, 5):
        assert torch.equal(before[index], after[index])
    assert not torch.equal(before[3], after[3])


def test_a_fully_masked_row_gives_zero_not_nan(make_model: MakeModel) -> None:
    rows = TokenRows.from_lists([([1, 2, 3], [])])
    model = make_model()
    loss = batch_loss(model, pad_rows(rows, [0], mask_instruction=True), CPU)
    loss.backward()
    assert loss.item() == 0.0
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)
