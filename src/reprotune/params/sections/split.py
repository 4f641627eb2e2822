"""Section `split`."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, PlainValidator, model_validator
from pydantic_core import PydanticCustomError

from reprotune.params.schema import MOST_COUNT, Section, Seed

ROUNDING = 1e-9  # 0.8 + 0.13 + 0.07 is 1.0000000000000002


def _share_or_count(value: Any) -> int | float:
    whole = isinstance(value, int) and not isinstance(value, bool)
    if (whole and 0 <= value <= MOST_COUNT) or (isinstance(value, float) and 0 <= value < 1):
        return value
    raise PydanticCustomError("size", "it should be a share of the rows, at least 0 and below 1, or a number of rows")


Size = Annotated[int | float, PlainValidator(_share_or_count)]
"""A share of the divided rows (0.8), or a number of them (1000)."""


class SplitParams(Section):
    """How records are divided into train, test and validation."""

    train: Size | None
    """Share of the rows for training, or their number; null: the rest."""
    test: Size | None
    """Share of the rows for testing, or their number; null: the rest. 0 where a source has the role `test`."""
    validation: Size | None = None
    """Share of the rows for validation, or their number; null: the rest."""
    max_test_rows: int | None = Field(ge=1, le=MOST_COUNT)
    """Most rows in the test set, since each is answered and judged; the rest go to training. null: no limit."""
    order: Literal["file", "shuffled", "hashed"]
    """`file`: train, then test, then validation, in file order; `shuffled`: at random, with `seed`; `hashed`: by the
    hash of each row and `seed`, so that rows that are added move no others."""
    stratify: bool = False
    """Give each category its share of every split, as far as its rows go."""
    seed: Seed
    """Seed of the shuffle and of the hashes; no effect with `order: file`."""
    group_near_duplicates: bool
    """Keep rows with the same, or nearly the same, instruction and input in one split."""
    near_duplicate_similarity: float = Field(gt=0, le=1)
    """Jaccard similarity of character 5-grams at which two rows count as near-duplicates."""
    contamination: Literal["report", "remove"] = "report"
    """Training rows that are near-duplicates of a row in a source with the role `test` or `validation`: `report` counts
    them, `remove` also takes them out of training."""

    @model_validator(mode="after")
    def _sizes_come_out(self) -> Self:
        sizes = {"train": self.train, "test": self.test, "validation": self.validation}
        rest = [name for name, size in sizes.items() if size is None]
        shares = {name: size for name, size in sizes.items() if isinstance(size, float)}
        if len(rest) > 1:
            raise ValueError(f"{' and '.join(rest)} are null, but only one of them should be null: it takes the rest")
        if rest and sum(shares.values()) >= 1:
            raise ValueError(f"{' + '.join(shares)} should be below 1, so that {rest[0]} gets rows")
        if not rest and len(shares) == len(sizes) and abs(sum(shares.values()) - 1) > ROUNDING:
            raise ValueError("train + test + validation should be 1, or one of them null, to take the rest")
        return self

    @model_validator(mode="after")
    def _hashes_decide_alone(self) -> Self:
        if self.order == "hashed":
            sizes = (self.train, self.test, self.validation)
            if any(isinstance(size, int) and size > 0 for size in sizes):
                raise ValueError(
                    "train, test and validation should be shares with order: hashed, for it keeps no count"
                )
            if self.max_test_rows is not None or self.stratify:
                raise ValueError(
                    "max_test_rows should be null and stratify false with order: hashed, because rows would move "
                    "between the splits when others are added"
                )
        return self
