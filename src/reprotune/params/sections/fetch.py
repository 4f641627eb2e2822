"""Section `fetch.base`."""

import re
from pathlib import Path
from typing import Self

from pydantic import model_validator

from reprotune.params.schema import CommitHash, Location, Section

EMBEDDED_BASE = Path("data/embedded/base")
HUB_MODELS = ("gpt2", "gpt2-medium", "gpt2-large", "gpt2-xl")
HUB_OWNER = "openai-community"
HUB_PREFIX = "hub:"
HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}", re.ASCII)


class BaseParams(Section):
    """Which pretrained model is fine-tuned."""

    source: Location
    """`embedded`, a folder in Hugging Face layout, a GGUF file, `hub:owner/name` for a repository of the hub, or
    `gpt2`, `gpt2-medium`, `gpt2-large`, `gpt2-xl`, which are on the hub too."""
    revision: CommitHash | None
    """Commit of the hub repository; null: for the four GPT-2s the one pinned by this version of Reprotune."""

    @model_validator(mode="after")
    def _pinned(self) -> Self:
        if self.source.startswith(HUB_PREFIX):
            if not HUB_NAME.fullmatch(self.source.removeprefix(HUB_PREFIX)):
                raise ValueError(f"source {self.source!r} should name a repository of the hub, as in hub:owner/name")
            if self.revision is None:
                raise ValueError("revision should be the commit of the hub repository, since branches move")
        elif self.revision is not None and self.path is not None:
            raise ValueError(f"revision is set, but source {self.source} is not on the hub: set it to null")
        return self

    @property
    def repository(self) -> str | None:
        """The hub's repository that `source` names; None for what is local."""
        if self.source in HUB_MODELS:
            return f"{HUB_OWNER}/{self.source}"
        return self.source.removeprefix(HUB_PREFIX) if self.source.startswith(HUB_PREFIX) else None

    @property
    def path(self) -> Path | None:
        """The local folder or GGUF file that `source` names; None for a model on the hub."""
        if self.repository is not None:
            return None
        return EMBEDDED_BASE if self.source == "embedded" else Path(self.source).expanduser()
