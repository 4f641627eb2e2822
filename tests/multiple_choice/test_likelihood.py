"""Log-probabilities equal those of reading each sequence alone, whatever is packed together and in which order."""

import math
import random

import pytest
import torch

from reprotune.compute.device import Compute
from reprotune.model.config import ModelConfig, Rotary
from reprotune.model.inference import prepare_for_inference
from reprotune.model.network import Network
from reprotune.multiple_choice import likelihood
from reprotune.multiple_choice.branches import Branching
from reprotune.multiple_choice.likelihood import log_probabilities
from tests.multiple_choice.conftest import make_network

VOCABULARY = 97
SHAPES = {
    "gpt2": ModelConfig(n_layer=3, n_head=2, n_embd=16, n_positions=128, vocab_size=VOCABULARY),
    "llama": ModelConfig(
        n_layer=2,
        n_head=4,
        n_kv_head=2,
        n_embd=16,
        n_positions=128,
        vocab_size=VOCABULARY,
        norm="rms",
        rotary=Rotary(1e4),
        gated=True,
        tied=False,
        family="llama",
    ),
}


@pytest.fixture(params=SHAPES)
def model(request: pytest.FixtureRequest) -> Network:
    return make_network(SHAPES[request.param])


def random_rows(seed: int = 0) -> tuple[list[Branching], list[str]]:
    """Rows of three groups: with a long beginning, with a short one, and with none; one row has equal choices."""
    draw = random.Random(seed)

    def ids(least: int, most: int) -> list[int]:
        return [draw.randrange(VOCABULARY) for _ in range(draw.randint(least, most))]

    rows, groups = [], []
    for group, size, beginning in (("long", 20, ids(60, 60)), ("short", 3, ids(10, 10)), ("none", 4, [])):
        for _ in range(size):
            context = [*beginning, *ids(1, 30)]
            rows.append(Branching(context, [ids(1, 6) for _ in range(draw.randint(1, 5))]))
            groups.append(group)
    rows[5] = rows[5]._replace(continuations=[[3, 4], [3, 4], [3]])
    return rows, groups


def alone(model: Network, context: list[int], continuation: list[int]) -> float:
    sequence = [*context, *continuation]
    with torch.inference_mode():
        logits = model.logits(model(torch.tensor([sequence[:-1]])))[0].double().log_softmax(dim=1)
    return sum(float(logits[len(context) - 1 + place, token]) for place, token in enumerate(continuation))


def test_each_row_is_scored_as_if_it_were_alone(model: Network) -> None:
    rows, groups = random_rows()
    for row, scores in zip(rows, log_probabilities(model, rows, groups), strict=True):
        expected = [alone(model, list(row.context), tokens) for tokens in row.continuations]
        assert scores == pytest.approx(expected, abs=1e-4)
    assert scores


@pytest.mark.parametrize(("pack", "block", "logits"), [(1, 1, 1), (100, 40, 3), (100_000, 100_000, 10_000)])
def test_batching_and_order_change_nothing_but_rounding(
    model: Network, monkeypatch: pytest.MonkeyPatch, pack: int, block: int, logits: int
) -> None:
    rows, groups = random_rows()
    expected = log_probabilities(model, rows, groups)
    monkeypatch.setattr(likelihood, "PACK_TOKENS", pack)
    monkeypatch.setattr(likelihood, "LOGIT_ROWS", logits)
    monkeypatch.setattr("reprotune.multiple_choice.branches.BLOCK_TOKENS", block)
    order = random.Random(1).sample(range(len(rows)), len(rows))
    found = log_probabilities(model, [rows[place] for place in order], [groups[place] for place in order])
    for place, scores in zip(order, found, strict=True):
        assert scores == pytest.approx(expected[place], abs=1e-4)


def test_a_shared_beginning_is_read_once(model: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    rows, groups = random_rows()
    read: list[int] = []
    forward = model.forward
    monkeypatch.setattr(model, "forward", lambda ids, *rest: read.append(ids.numel()) or forward(ids, *rest))
    log_probabilities(model, rows, groups)
    whole = sum(row.read_tokens() for row in rows)
    spared = 19 * 60 + 1
    assert sum(read) == whole - spared, "of twenty rows' beginning, and of two choices that are equal"


def test_equal_choices_have_equal_scores_and_progress_counts_rows(model: Network) -> None:
    rows, groups = random_rows()
    counts: list[int] = []
    scores = log_probabilities(model, rows, groups, counts.append)
    assert scores[5][0] == scores[5][1]
    assert sum(counts) == len(rows)
    assert log_probabilities(model, []) == []


def test_weights_in_blocks_and_bfloat16_give_nearly_the_same(model: Network) -> None:
    rows, groups = random_rows()
    expected = log_probabilities(model, rows, groups)
    compute = Compute(torch.device("cpu"), torch.float32)
    prepare_for_inference(model, compute)
    found = log_probabilities(model, rows, groups)
    assert all(one == pytest.approx(other, abs=1e-4) for one, other in zip(found, expected, strict=True))


def test_bfloat16_runs(model: Network) -> None:
    prepare_for_inference(model, Compute(torch.device("cpu"), torch.bfloat16))
    rows, groups = random_rows()
    expected = log_probabilities(make_network(model.config), rows, groups)
    found = log_probabilities(model, rows, groups)
    pairs = zip(sum(found, []), sum(expected, []), strict=True)  # noqa: RUF017 - short lists
    differences = [abs(one - other) for one, other in pairs]
    assert max(differences) < 1.5
    assert all(math.isfinite(score) for scores in found for score in scores)
