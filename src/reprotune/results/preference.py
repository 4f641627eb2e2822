"""What the JSON files of human preference hold; see `results.documents`."""

from typing import Annotated, Literal

from pydantic import Field

from reprotune.results.documents import Count, Part, Positive, Share

Alpha = Annotated[float, Field(ge=-1.000001, le=1.000001)]


class Compared(Part):
    """One model against another."""

    together = (("share", "ci95_low", "ci95_high"),)

    candidate: str
    baseline: str
    pairs: Count
    wins: Count
    losses: Count
    ties: Count
    both_bad: Count
    identical: Count
    share: Share | None = None
    ci95_low: Share | None = None
    ci95_high: Share | None = None
    evidence: Positive
    verdict: Literal["better", "worse", "open"]
    win_rate: Share
    without_a_voter_low: Share | None = None
    without_a_voter_high: Share | None = None


class Rating(Part):
    """One model among others."""

    together = (("ci95_low", "ci95_high"),)

    rating: float
    ci95_low: float | None = None
    ci95_high: float | None = None


class Rated(Part):
    """All models."""

    models: dict[str, Rating]
    separated: list[list[str]] = Field(default_factory=list)
    tied_ranks: list[list[str]] = Field(default_factory=list)


class JoinedRate(Part):
    """Votes and a scorer together."""

    win_rate: Share
    ci95_low: Share
    ci95_high: Share
    weight: Share
    voted: Count
    unvoted: Count
    votes_low: Share
    votes_high: Share


class Scorer(Part):
    """A scorer beside the votes."""

    n: Count
    agreement: Share | None = None
    alpha: Alpha | None = None
    joined: JoinedRate | None = None


class PublishedPreference(Part):
    """metrics/preference.json, where what is null or a list is left out; without votes, only their number is there."""

    votes: Count
    voters: Count = 0
    comparisons: dict[str, Compared] = Field(default_factory=dict)
    ratings: Rated | None = None
    scorers: dict[str, Scorer] = Field(default_factory=dict)


class Preference(PublishedPreference):
    """data/preference/metrics.json"""

    ballots: Count
    double: Count
    over_cap: Count
    outdated: Count
    controls_empty: Count
    failed_empty: Count
    controls_identical: Count
    failed_identical: Count
    repeated: Count
    consistent_share: Share | None
    decisive: Count
    left_share: Share | None
    fast: Count
    pairs_of_several: Count
    alpha: Alpha | None
    raw_agreement: Share | None
