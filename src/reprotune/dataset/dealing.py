"""Who gets which rows: sizes of the splits, and the orders in which groups of rows are dealt to them."""

import hashlib

import numpy as np
import numpy.typing as npt

from reprotune.errors import UserError
from reprotune.params.sections.split import SplitParams

Ints = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]

DEALING_ORDER = ("train", "test", "validation")
TRAIN, TEST, VALIDATION = range(3)
DRAWN_BITS = 48


def split_sizes(rows: int, params: SplitParams) -> tuple[int, int, int]:
    """Return the rows of train, test and validation: shares rounded down, as in the book chapter; null is the rest.

    Where no size is null, validation also gets what rounding leaves. Test rows beyond `max_test_rows` go to training.
    Raises `UserError` if the sizes do not come out for this number of rows.
    """
    asked = (params.train, params.test, params.validation)
    sizes = [int(rows * size) if isinstance(size, float) else size for size in asked]
    rest = rows - sum(size for size in sizes if size is not None)
    if None in sizes:
        sizes[sizes.index(None)] = rest
    elif all(isinstance(size, float) for size in asked):
        sizes[VALIDATION] = rows - int(sizes[TRAIN] or 0) - int(sizes[TEST] or 0)
    elif rest:
        raise UserError(
            f"split.train, test and validation come to {rows - rest} rows, but there are {rows} to divide: set one of "
            "them to null, to take the rest"
        )
    train, test, validation = (int(size or 0) for size in sizes)
    if min(train, test, validation) < 0:
        raise UserError(f"split.train, test and validation ask for more than the {rows} rows that there are: lower one")
    kept = min(test, params.max_test_rows or test)
    return train + test - kept, kept, validation


def deal_in_file_order(groups: Ints, sizes: tuple[int, int, int]) -> tuple[Ints, int]:
    """Return the split of each row, its group going where its first row is, and how many rows that moved."""
    in_order = np.repeat(np.arange(len(sizes)), sizes)
    assigned = in_order[groups]
    return assigned, int((assigned != in_order).sum())


def shuffled(groups: Ints, seed: int) -> Ints:
    """Return the groups in an order drawn with numpy's PCG64, whose streams are the same on every platform."""
    members = np.bincount(groups, minlength=len(groups))
    return np.random.default_rng(seed).permutation(np.flatnonzero(members))


def deal(order: Ints, groups: Ints, sizes: tuple[int, int, int]) -> Ints:
    """Return the split of each row: whole groups in the given order, each to the first split with room.

    `groups` names for each row the first row of its group. A group that fits nowhere goes where most room is left.
    """
    members = np.bincount(groups, minlength=len(groups))
    room = list(sizes)
    assigned = np.empty(len(groups), dtype=np.int64)
    for group in order.tolist():
        size = int(members[group])
        fitting = (place for place, left in enumerate(room) if left >= size)
        place = next(fitting, room.index(max(room)))
        assigned[group] = place
        room[place] -= size
    return assigned[groups]


def stratified(order: Ints, groups: Ints, strata: Ints) -> Ints:
    """Return the groups reordered so that each run of them has every stratum's share of rows.

    `strata` numbers the stratum of each row; a group is of its first row's. Each group moves to the place, from 0 to 1,
    that it has within its own stratum; so dealing them gives each split its share of each.
    """
    members = np.bincount(groups, minlength=len(groups))[order]
    stratum = strata[order]
    by_stratum = np.argsort(stratum, kind="stable")
    sizes = members[by_stratum]
    before = np.cumsum(sizes) - sizes
    totals = np.bincount(stratum, weights=members)
    starts = np.cumsum(totals) - totals
    place = np.empty(len(order))
    place[by_stratum] = (before - starts[stratum[by_stratum]] + sizes / 2) / totals[stratum[by_stratum]]
    return order[np.argsort(place, kind="stable")]


def deal_hashed(groups: Ints, hashes: Hashes, params: SplitParams) -> Ints:
    """Return the split of each row by the hash of its content and the seed, whatever other rows there are.

    A group goes where its member with the smallest hash would go alone. So a new row moves others only where it joins
    their group (or joins two groups into one) and is the smallest.
    """
    smallest = np.full(len(groups), np.iinfo(np.uint64).max, dtype=np.uint64)
    np.minimum.at(smallest, groups, hashes)
    first = np.flatnonzero(np.bincount(groups, minlength=len(groups)))
    drawn = np.zeros(len(groups))
    drawn[first] = [_drawn(params.seed, value) for value in smallest[first].tolist()]
    shares = [float(size) if size is not None else None for size in (params.train, params.test, params.validation)]
    rest = 1 - sum(share for share in shares if share is not None)
    train, test, _ = (rest if share is None else share for share in shares)
    return np.searchsorted([train, train + test], drawn, side="right")[groups]


def _drawn(seed: int, value: int) -> float:
    """Return a number from 0 to 1 (excluded) for the hash of a row."""
    digest = hashlib.sha256(f"{seed}:{value:016x}".encode()).digest()
    return int.from_bytes(digest[: DRAWN_BITS // 8], "big") / (1 << DRAWN_BITS)
