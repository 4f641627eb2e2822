"""Log-probabilities of continuations, with every shared beginning and every context computed once.

Rows of one group (a subject, whose prompts begin with the same examples) share their beginning; within a row all
continuations share the context. Groups too small to gain from it are read together. Rows go longest first, in packs of
about `PACK_TOKENS`, so that memory does not grow with their number, and a row's result does not depend on the others
but for rounding.
"""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Sequence

import torch
from torch import Tensor

from reprotune.compute.device import Compute
from reprotune.dataset.packing import shared_prefix
from reprotune.model.network import Network
from reprotune.multiple_choice.branches import Beginning, Branching, Pack, packed

PACK_TOKENS = 2048
"""Most tokens in one forward pass (but at least one row)."""
WORTH_SHARING = 512
"""Tokens that a group has to save by sharing its beginning, or it joins the others."""
LOGIT_ROWS = 128
"""Predictions turned into logits at a time: 26 MB of float32 for GPT-2's vocabulary."""


@torch.inference_mode()
def log_probabilities(
    model: Network,
    rows: Sequence[Branching],
    groups: Sequence[Hashable] | None = None,
    on_scored: Callable[[int], object] = lambda count: None,
) -> list[list[float]]:
    """Return the log-probability of each continuation of each row, in nats.

    `groups` names for each row those whose beginning it shares (default: one group). `on_scored` is told how many rows
    a pass has finished. Logits are float32, everything after them is float64; in float32 arithmetic a result depends on
    the other rows by rounding only (below 1e-4).
    """
    wanted = [row.continuations for row in rows]
    # equal continuations are one, so that rounding does not decide between them
    kinds = [list(dict.fromkeys(map(tuple, row.continuations))) for row in rows]
    rows = [Branching(row.context, list(map(list, some))) for row, some in zip(rows, kinds, strict=True)]
    scored: list[dict[tuple[int, ...], float]] = [{} for _ in rows]
    with Compute.of(model.wte.weight).autocast():
        for members, prefix in _shared(rows, groups or [None] * len(rows)):
            members.sort(key=lambda index: -rows[index].read_tokens(prefix))
            longest = rows[members[0]]
            beginning = Beginning(model, longest.context[:prefix], longest.read_tokens(prefix))
            for some in _passes(members, rows, prefix):
                pack = packed([rows[index] for index in some], prefix)
                sums = _sums(model, beginning.hidden_states(pack), pack)
                for place, index in enumerate(some):
                    scored[index] = {kind: sums[place, number] for number, kind in enumerate(kinds[index])}
                on_scored(len(some))
    return [[found[tuple(tokens)] for tokens in row] for found, row in zip(scored, wanted, strict=True)]


def _shared(rows: Sequence[Branching], groups: Sequence[Hashable]) -> list[tuple[list[int], int]]:
    """Return lists of rows that are read together, each with the number of tokens that all of them begin with."""
    named: dict[Hashable, list[int]] = defaultdict(list)
    for index, group in enumerate(groups):
        named[group].append(index)
    apart: list[tuple[list[int], int]] = []
    others: list[int] = []
    for members in named.values():
        prefix = shared_prefix([rows[index].context for index in members])
        if prefix * (len(members) - 1) >= WORTH_SHARING:
            apart.append((members, prefix))
        else:
            others += members
    if others:
        apart.append((others, shared_prefix([rows[index].context for index in others])))
    return apart


def _passes(members: Sequence[int], rows: Sequence[Branching], prefix: int) -> Iterator[list[int]]:
    some: list[int] = []
    size = 0
    for index in members:
        tokens = rows[index].read_tokens(prefix)
        if some and size + tokens > PACK_TOKENS:
            yield some
            some, size = [], 0
        some.append(index)
        size += tokens
    if some:
        yield some


def _sums(model: Network, hidden: Tensor, pack: Pack) -> dict[tuple[int, int], float]:
    """Return the log-probability of each (row, continuation) of a pack, from its hidden states [tokens, C]."""
    sums: dict[tuple[int, int], float] = defaultdict(float)
    reads = sorted({target.read for target in pack.targets})
    targets = sorted(pack.targets)  # by the token they are read from
    done = 0
    for start in range(0, len(reads), LOGIT_ROWS):
        some = reads[start : start + LOGIT_ROWS]
        stop = done
        while stop < len(targets) and targets[stop].read <= some[-1]:
            stop += 1
        wanted = targets[done:stop]
        done = stop
        logits = model.logits(hidden[torch.tensor(some, device=hidden.device)]).float()
        place = {read: line for line, read in enumerate(some)}
        lines = torch.tensor([place[target.read] for target in wanted], device=hidden.device)
        tokens = torch.tensor([target.token for target in wanted], device=hidden.device)
        found = (logits[lines, tokens].double() - _log_totals(logits)[lines]).tolist()
        for target, value in zip(wanted, found, strict=True):
            sums[target.row, target.continuation] += value
    return sums


def _log_totals(logits: Tensor) -> Tensor:
    """Return the logarithm of each line's sum of exponentials, summed in float64: [M, V] -> [M]."""
    highest = logits.amax(dim=1, keepdim=True)
    totals: Tensor = (logits - highest).exp_().sum(dim=1, dtype=torch.float64)
    return totals.log() + highest[:, 0].double()
