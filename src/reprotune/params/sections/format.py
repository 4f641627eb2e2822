"""Section `format`."""

from pathlib import Path
from typing import Literal

from reprotune.params.schema import Location, Section


class FormatParams(Section):
    """How a record becomes the text the model sees."""

    template: Location
    """`alpaca`, `phi3`, `chat` (the base model's own chat template), or the path of your own Jinja template (ending in
    .jinja)."""
    response_header: Literal["in_prompt", "in_response"]
    """Whether the template's response header ends the prompt or starts the response, so that the model has to write it
    (the chapter's way). A chat template decides that itself: `in_prompt`."""
    train_on: Literal["all", "last"]
    """Of a conversation, learn every answer of the assistant, or the last one."""

    @property
    def file(self) -> Path | None:
        """The file that `template` names; None for a built-in one."""
        return Path(self.template) if self.template.endswith(".jinja") else None
