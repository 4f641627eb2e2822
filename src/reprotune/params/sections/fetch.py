"""Section `fetch.base`."""

from pathlib import Path

from reprotune.params.schema import CommitHash, Location, Section

EMBEDDED_BASE = Path("data/embedded/base")
HUB_MODELS = ("gpt2", "gpt2-medium", "gpt2-large", "gpt2-xl")


class BaseParams(Section):
    """Which pretrained model is fine-tuned."""

    source: Location
    """`embedded`, a folder in Hugging Face layout, or `gpt2`, `gpt2-medium`, `gpt2-large`, `gpt2-xl` from the hub."""
    revision: CommitHash | None
    """Commit of the hub repository; null: the one pinned by this version of Reprotune."""

    @property
    def folder(self) -> Path | None:
        """The local folder that `source` names; None for a model on the hub."""
        if self.source in HUB_MODELS:
            return None
        return EMBEDDED_BASE if self.source == "embedded" else Path(self.source).expanduser()
