"""Groups of texts that repeat or nearly repeat one another: a set-similarity join that is exact, not probabilistic.

Two texts are near-duplicates when the Jaccard similarity of their sets of character 5-grams (shingles), taken after
case folding and collapsing white space, reaches a threshold t; groups are the connected components.

MinHash with LSH would miss some of the pairs by chance, and hashing a million rows in Python takes most of an
hour. The method here is the prefix filter of all-pairs search (Bayardo, Ma and Srikant, "Scaling Up All Pairs
Similarity Search", WWW 2007; Xiao et al., "Efficient Similarity Joins for Near Duplicate Detection", WWW 2008) in
numpy: only texts that share a rare shingle are compared (`rare_shingles`), first by signatures that bound how many
shingles differ (`signatures`), then exactly, shingle by shingle.
"""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from reprotune.console import progress_bar
from reprotune.dataset.rare_shingles import ROUNDING, Postings, index_rare_shingles
from reprotune.dataset.shingles import Ints, Places, ShingledTexts, chunks, narrowed, normalise, similarity

PAIRS_PER_CHUNK = 1 << 18
LOW_HALF = (1 << 32) - 1  # of a pair's key, the other text; the upper half is the one


def near_duplicate_groups(texts: Iterable[str], threshold: float) -> Ints:
    """Return for each text the index of the first text of its group (its own index if it has no near-duplicate).

    Takes time in proportion to the total length of the texts and to the number of pairs that share a rare shingle;
    a million instructions take less than a minute and 1.2 GB.
    """
    first, unique_rows, distinct = _distinct_texts(texts)
    groups = _Groups(len(distinct))
    if len(distinct) > 1:
        _Join(distinct, threshold, groups).run()
    representative = np.zeros(len(first), dtype=np.int64)
    representative[unique_rows] = unique_rows[groups.roots(np.arange(len(unique_rows)))]
    return representative[first]


def _distinct_texts(texts: Iterable[str]) -> tuple[Ints, Ints, ShingledTexts]:
    """Return for each text the first that is equal to it, those that are first, and these as shingles."""
    first_seen: dict[str, int] = {}
    first = np.array([first_seen.setdefault(normalise(text), row) for row, text in enumerate(texts)], dtype=np.int64)
    return first, np.array(list(first_seen.values()), dtype=np.int64), ShingledTexts.of(list(first_seen))


class _Groups:
    """Union-find whose roots are the smallest member of each group, so the result does not depend on the order."""

    def __init__(self, size: int) -> None:
        self.parent: Ints = np.arange(size)

    def root(self, item: int) -> int:
        while self.parent[item] != item:
            self.parent[item] = self.parent[self.parent[item]]
            item = int(self.parent[item])
        return item

    def roots(self, items: Ints | Places) -> Ints | Places:
        while not np.array_equal(above := self.parent.take(items), items):
            items = above
        return items

    def join(self, left: int, right: int) -> None:
        low, high = sorted((self.root(left), self.root(right)))
        self.parent[high] = low


class _Join:
    """The comparisons between the texts of postings: by signature, then, each pair once, by their exact shingles.

    With sets of sizes a and b and an overlap of o, o / (a + b - o) >= t means o >= t / (1 + t) (a + b).
    """

    def __init__(self, texts: ShingledTexts, threshold: float, groups: _Groups) -> None:
        self.texts = texts
        self.threshold = threshold
        self.groups = groups
        self.postings, self.signatures = index_rare_shingles(texts, threshold)
        list_length = self.postings.list_length
        self.list_end: Places = np.repeat((self.postings.list_start + list_length).astype(np.int32), list_length)
        self.dissimilar: Ints = np.empty(0, dtype=np.int64)
        """Keys of pairs that need not be compared again; texts that share one posting often share many."""

    def run(self) -> None:
        """Join the groups of all texts whose similarity reaches the threshold.

        Round d compares each posting with the one d places further in its list.
        """
        active: Ints = np.arange(len(self.postings.text))
        distance = 0
        with progress_bar("near-duplicates", len(active), " shingles") as bar:
            while len(active):
                distance += 1
                bar.update(len(self.list_end) - bar.n - len(active))
                parts = (active[start : start + PAIRS_PER_CHUNK] for start in range(0, len(active), PAIRS_PER_CHUNK))
                active = np.concatenate([self._compare(part, distance) for part in parts])
                if distance.bit_count() == 1:  # at 1, 2, 4, 8, ...: it looks at all postings, so not in every round
                    active = active[~_list_in_one_group(self.postings, self.groups).take(active)]

    def _compare(self, active: Ints, distance: int) -> Ints:
        """Compare postings with those so far away; return the ones that may have partners further on.

        The first shingle that two sets share leaves at most `remaining` others on either side, which must suffice for
        the overlap. Sizes grow along a list, so a posting whose own `remaining` does not suffice is done.
        """
        active = active[active + distance < self.list_end.take(active)]
        further = active + distance
        sizes = self.postings.size.take(active) + self.postings.size.take(further)
        overlap = np.ceil(self.threshold / (1 + self.threshold) * sizes - ROUNDING).astype(np.int32)
        suffices = self.postings.remaining.take(active) >= overlap
        compared = suffices & (self.postings.remaining.take(further) >= overlap)
        ones, others = self.postings.text.take(active[compared]), self.postings.text.take(further[compared])
        self._join_similar(ones, others, (sizes - 2 * overlap)[compared])
        return active[suffices]

    def _join_similar(self, ones: Places, others: Places, most_differing: Places) -> None:
        """Join the texts ones[i] and others[i] where at most so many shingles are in one of the two only."""
        apart = self.groups.roots(ones) != self.groups.roots(others)
        ones, others = ones[apart], others[apart]
        possible = self.signatures.may_differ_by(most_differing[apart], ones, others)
        keys = np.unique(ones[possible].astype(np.int64) << 32 | others[possible])
        keys = np.setdiff1d(keys, self.dissimilar, assume_unique=True)
        similar = self._are_similar(keys >> 32, keys & LOW_HALF)
        for key in keys[similar].tolist():
            self.groups.join(key >> 32, key & LOW_HALF)
        if not similar.all():
            self.dissimilar = np.concatenate([self.dissimilar, keys[~similar]])

    def _are_similar(self, ones: Ints, others: Ints) -> npt.NDArray[np.bool_]:
        """Tell which pairs of texts reach the threshold, some pairs at a time to bound memory."""
        lengths = np.diff(self.texts.bounds)
        bounds = np.concatenate([[0], np.cumsum(lengths[ones] + lengths[others])])
        parts = [self._similarities(ones[first:last], others[first:last]) for first, last in chunks(bounds)]
        return np.concatenate([np.empty(0), *parts]) >= self.threshold

    def _similarities(self, ones: Ints, others: Ints) -> npt.NDArray[np.float64]:
        """Return the similarity of each pair, from one sorted array of (pair, shingle, side)."""
        if not self.texts.codes_are_unique:
            pairs = zip(ones.tolist(), others.tolist(), strict=True)
            return np.array([similarity(self.texts.text(one), self.texts.text(other)) for one, other in pairs])
        codes, counts = self.texts.codes_of(np.stack([ones, others], axis=1).ravel())
        code_bits = 63 - len(ones).bit_length()
        codes, _ = narrowed(codes, code_bits)
        sides = np.arange(len(counts), dtype=np.uint64)
        keys = np.repeat(sides >> np.uint64(1) << np.uint64(code_bits + 1) | sides & np.uint64(1), counts)
        keys |= codes << np.uint64(1)
        keys.sort()
        before = np.append(~keys[0], keys[:-1])
        starts = (np.cumsum(counts) - counts)[::2]
        distinct = np.add.reduceat(keys != before, starts, dtype=np.int64)
        common = np.add.reduceat(keys ^ before == 1, starts, dtype=np.int64)  # on either side of the pair
        return common / (distinct - common)


def _list_in_one_group(postings: Postings, groups: _Groups) -> npt.NDArray[np.bool_]:
    """Tell for each posting whether all texts of its list are in one group already."""
    roots = groups.roots(np.arange(len(groups.parent))).take(postings.text)
    starts = postings.list_start
    return np.repeat(np.minimum.reduceat(roots, starts) == np.maximum.reduceat(roots, starts), postings.list_length)
