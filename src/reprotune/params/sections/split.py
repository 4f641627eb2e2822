"""Section `split`."""

from typing import Literal, Self

from pydantic import Field, model_validator

from reprotune.params.schema import MOST_COUNT, Section, Seed


class SplitParams(Section):
    """How records are divided into train, test and validation."""

    train: float = Field(gt=0, lt=1)
    """Share of the records for training."""
    test: float = Field(gt=0, lt=1)
    """Share of the records for testing; validation takes the rest."""
    max_test_rows: int | None = Field(ge=1, le=MOST_COUNT)
    """Most rows in the test set, since each is answered and judged; the rest go to training. null: no limit."""
    order: Literal["file", "shuffled"]
    """`file`: train, then test, then validation, in file order; `shuffled`: at random, with `seed`."""
    seed: Seed
    """Seed of the shuffle; no effect with `order: file`."""
    group_near_duplicates: bool
    """Keep rows with the same, or nearly the same, instruction and input in one split."""
    near_duplicate_similarity: float = Field(gt=0, le=1)
    """Jaccard similarity of character 5-grams at which two rows count as near-duplicates."""

    @model_validator(mode="after")
    def _leave_rows_for_validation(self) -> Self:
        if self.train + self.test >= 1:
            raise ValueError("train + test should be below 1, so that validation gets rows")
        return self
