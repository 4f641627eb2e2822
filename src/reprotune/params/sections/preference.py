"""Section `preference`."""

from pydantic import Field

from reprotune.params.schema import MOST_COUNT, Section, Seed


class PreferenceParams(Section):
    """How ballots are made and votes are counted."""

    controls: float = Field(ge=0, le=0.5)
    """How many pairs of a ballot are shown again with sides swapped, as a share; half as many are an answer against
    none, and as many again an answer against itself. 0: no controls."""
    seed: Seed
    """Seed of the pairs' order, of their sides and of the controls."""
    min_seconds: float = Field(ge=0, le=60)
    """Votes given in less time are counted, and reported."""
    max_votes_per_voter: int | None = Field(ge=1, le=MOST_COUNT)
    """Only the first so many votes of each voter count, so that nobody decides alone; null: all."""
