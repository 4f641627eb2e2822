"""Section `tokenize`."""

from typing import Literal

from pydantic import Field

from reprotune.params.schema import Section


class TokenizeParams(Section):
    """How text becomes GPT-2 token ids."""

    max_length: int = Field(ge=2, le=1024)
    """Most tokens of prompt + response + end-of-text in a row; GPT-2's context is 1024."""
    on_too_long: Literal["drop", "truncate_prompt", "truncate_response", "fail"]
    """What happens to longer rows; every one is counted in summary.json."""
