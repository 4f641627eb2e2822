"""Section `generate`."""

from typing import Literal

from pydantic import Field

from reprotune.params.schema import MOST_COUNT, Section, Seed, Temperature


class GenerateParams(Section):
    """How answers are decoded."""

    max_new_tokens: int = Field(ge=1, le=MOST_COUNT)
    """Longest answer, in tokens."""
    temperature: Temperature
    """0: greedy; otherwise the softmax temperature of sampling."""
    top_k: int | None = Field(ge=1, le=MOST_COUNT)
    """Sample from the k likeliest tokens only; null: from all."""
    top_p: float | None = Field(gt=0, le=1)
    """Sample from the smallest set of tokens with this total probability; null: from all."""
    seed: Seed
    """Seed of sampling; each row has its own stream, so answers do not depend on the batch."""
    batch_size: int = Field(ge=1, le=MOST_COUNT)
    """Rows decoded at a time. Affects memory and speed."""
    precision: Literal["auto", "fp32", "bf16"]
    """Arithmetic of matrix products; fp32 keeps greedy answers independent of batching."""
