"""Sections `fetch.dataset` and `fetch.base`."""

import re
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from reprotune.params.schema import MOST_COUNT, Location, Section

EMBEDDED_DATASET = Path("data/embedded/dataset.jsonl")
EMBEDDED_BASE = Path("data/embedded/base")
HUB_MODELS = ("gpt2", "gpt2-medium", "gpt2-large", "gpt2-xl")
HUB_OWNER = "openai-community"
HUB_PREFIX = "hub:"
HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}", re.ASCII)

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
CommitHash = Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]


class ColumnNames(Section):
    """Which column of the source holds which field, e.g. `instruction: question`."""

    instruction: str = "instruction"
    """Column of the instruction; every usable row has one."""
    input: str = "input"
    """Column of the input; a missing column, null and empty text all mean that there is none."""
    output: str = "output"
    """Column of the expected answer; every usable row has one."""
    category: str = "category"
    """Column of the category, for scores by category; may be missing."""

    @model_validator(mode="after")
    def _one_role_each(self) -> Self:
        roles: dict[str, str] = {}
        for role, column in self.model_dump().items():
            if (other := roles.setdefault(column, role)) != role:
                raise ValueError(f"{other} and {role} are both the column {column!r}, but each needs its own")
        return self


class DatasetParams(Section):
    """Where the instruction records come from and which rows are usable."""

    source: Location
    """`embedded`, a path, or an http(s) URL of JSON, JSONL, CSV, TSV or Parquet, plain or gzipped."""
    format: Literal["auto", "json", "jsonl", "csv", "tsv", "parquet"]
    """File format; `auto` goes by the file name, then by the first bytes."""
    sha256: Sha256 | None
    """Expected SHA-256 of the source file as fetched; null: printed, not checked."""
    columns: ColumnNames
    """Which column of the source holds which field."""
    max_chars: int = Field(ge=1, le=MOST_COUNT)
    """Rows with a longer instruction, input or output (in characters) are rejected."""
    on_bad_row: Literal["reject", "fail"]
    """`reject` sets unusable rows aside in rejected.parquet; `fail` stops at the first."""
    max_rejected_fraction: float = Field(ge=0, le=1)
    """Fail when more than this share of the rows is unusable."""

    @property
    def file(self) -> Path | None:
        """The local file that `source` names; None for a URL."""
        if self.source.lower().startswith(("http://", "https://")):
            return None
        return EMBEDDED_DATASET if self.source == "embedded" else Path(self.source).expanduser()


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
