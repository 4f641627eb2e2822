"""Section `tokenize`."""

from typing import Literal

from pydantic import Field

from reprotune.params.schema import Section


class TokenizeParams(Section):
    """How text becomes GPT-2 token ids."""

    max_length: int = Field(ge=2, le=1024)
    """Most tokens in a row (prompt, response and end-of-text); GPT-2's context is 1024."""
    on_too_long: Literal["drop", "truncate_prompt", "truncate_response", "fail"]
    """What happens to longer rows; all are counted in summary.json."""
