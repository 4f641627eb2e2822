"""Section `tokenize`."""

from typing import Literal

from pydantic import Field

from reprotune.params.schema import Section

MOST_POSITIONS = 1_000_000
"""Far beyond the context of any model that can be trained here."""


class TokenizeParams(Section):
    """How text becomes token ids."""

    max_length: int = Field(ge=2, le=MOST_POSITIONS)
    """Most tokens in a row (prompt, response and end-of-text); GPT-2 reads 1024, and `reprotune check` tells how many
    the base model reads."""
    on_too_long: Literal["drop", "truncate_prompt", "truncate_response", "fail"]
    """What happens to longer rows; all are counted in summary.json."""
