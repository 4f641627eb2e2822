"""Section `judge`."""

from typing import Literal

from pydantic import Field

from reprotune.params.schema import Section


class JudgeParams(Section):
    """How answers are scored."""

    backend: Literal["offline", "ollama", "openai"]
    """`offline`: statistical scorers; `ollama`: its native API; `openai`: any OpenAI-compatible endpoint.
    Where the service lives and its key come from the environment."""
    model: str
    """Name of the judge model, as the service knows it; no effect with `offline`."""
    rubric: Literal["chapter", "reference"]
    """`chapter`: the book chapter's one-line prompt; `reference`: anchored rubric, reasoning before score."""
    temperature: float = Field(ge=0)
    """Sampling temperature of the judge."""
    seed: int = Field(ge=0)
    """Seed sent to the judge and used by resampling statistics."""
    max_tokens: int = Field(ge=1)
    """Longest reply of the judge, in tokens."""
    min_coverage: float = Field(ge=0, le=1)
    """Fail (keeping every reply) when a smaller share of the answers got a score."""
