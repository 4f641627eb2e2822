"""Section `fetch.dataset`: one source of rows, or several."""

import re
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from reprotune.params.schema import MOST_COUNT, CommitHash, Location, Section, Seed, Sha256

EMBEDDED_DATASET = Path("data/embedded/dataset.jsonl")
HUB = "hub:"
NETWORK = ("http://", "https://")
WILDCARDS = "*?["

SHAPE_ROLES = {
    "instruction": ("instruction", "input", "output", "category"),
    "seed_tasks": ("instruction", "category"),
    "prompt_completion": ("prompt", "completion", "category"),
    "messages": ("messages", "system", "category"),
    "sharegpt": ("conversations", "system", "category"),
    "text": ("text", "category"),
}
"""Shape of the rows -> the keys of `columns` that it uses."""


def _usable_source(text: str) -> str:
    if text.startswith(HUB) and not re.fullmatch(r"hub:[A-Za-z0-9][\w.-]{0,95}(/[\w.-]{1,96})?", text):
        raise PydanticCustomError("hub", "it should be hub:owner/name for a dataset on the hub")
    return text


DatasetSource = Annotated[Location, AfterValidator(_usable_source)]
FileFormat = Literal["auto", "json", "jsonl", "csv", "tsv", "parquet"]
RowShape = Literal["auto", "instruction", "messages", "sharegpt", "prompt_completion", "text", "seed_tasks"]
Role = Literal["divided", "train", "test", "validation"]


class HubParams(Section):
    """Which part of a dataset on the hub is read, where the source is `hub:owner/name`."""

    configuration: Annotated[str, Field(min_length=1)] | None = None
    """Configuration (subset) of the dataset; null: its only one."""
    split: str = Field(default="train", min_length=1)
    """Split of the dataset as the hub names it."""
    revision: CommitHash | None = None
    """Commit of the hub repository, without which nothing is read from the hub: a branch moves."""


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
    messages: str = "messages"
    """Column of the list of messages, for rows of the shape `messages`."""
    conversations: str = "conversations"
    """Column of the list of turns, for rows of the shape `sharegpt`."""
    system: str = "system"
    """Column of a system prompt beside the messages, for both shapes of conversations; may be missing."""
    prompt: str = "prompt"
    """Column of the prompt, for rows of the shape `prompt_completion`."""
    completion: str = "completion"
    """Column of the completion, for rows of the shape `prompt_completion`."""
    text: str = "text"
    """Column of the text, for rows of the shape `text`."""
    checks: Annotated[str, Field(min_length=1)] | None = None
    """Column of what an answer must comply with, for figures that need no judge; null: there is none."""

    @model_validator(mode="after")
    def _one_role_each(self) -> Self:
        for used in SHAPE_ROLES.values():  # only the columns of one shape are read together
            roles = {} if self.checks is None else {self.checks: "checks"}
            for role in used:
                column = getattr(self, role)
                if (other := roles.setdefault(column, role)) != role:
                    raise ValueError(f"{other} and {role} are both the column {column!r}, but each needs its own")
        return self


class SourceParams(Section):
    """One of several sources: where its rows are, how they look, what they are for and how many are taken."""

    name: str = Field(min_length=1, max_length=80)
    """What its rows are marked with."""
    source: DatasetSource
    """As `fetch.dataset.source`."""
    role: Role = "divided"
    """`divided`: as `split` says; `train`, `test`, `validation`: all of its rows are for that."""
    format: FileFormat = "auto"
    """As `fetch.dataset.format`."""
    shape: RowShape = "auto"
    """As `fetch.dataset.shape`."""
    sha256: Sha256 | None = None
    """As `fetch.dataset.sha256`."""
    hub: HubParams = HubParams()
    """As `fetch.dataset.hub`."""
    columns: ColumnNames = ColumnNames()
    """As `fetch.dataset.columns`."""
    max_rows: int | None = Field(default=None, ge=1, le=MOST_COUNT)
    """Most rows that are taken of it, a sample drawn with `fetch.dataset.seed`; null: all."""
    weight: float | None = Field(default=None, gt=0, le=1000)
    """Share of its rows in the mix, relative to the other weights; null: its rows are not weighed against others."""

    @model_validator(mode="after")
    def _a_weight_is_for_training(self) -> Self:
        if self.weight is not None and self.role in ("test", "validation"):
            raise ValueError(f"a source with the role {self.role} has no weight: set max_rows where it is too large")
        check_hub(self.source, self.hub)
        return self

    @property
    def path(self) -> Path | None:
        """The local file, folder or pattern that `source` names; None for a URL or a dataset on the hub."""
        if self.source.lower().startswith(NETWORK) or self.source.startswith(HUB):
            return None
        return EMBEDDED_DATASET if self.source == "embedded" else Path(self.source).expanduser()

    @property
    def followed(self) -> Path | None:
        """What DVC has to follow: the file or folder itself, for a pattern the folder that its files are below."""
        path = self.path
        if path is None or not is_pattern(path):
            return path
        parts = path.parts
        first = next(place for place, part in enumerate(parts) if any(sign in part for sign in WILDCARDS))
        return Path(*parts[:first])


def is_pattern(path: Path) -> bool:
    """Tell whether a path is a pattern with wildcards, and not the name of a file that has such characters."""
    return any(sign in str(path) for sign in WILDCARDS) and not path.exists()


def check_hub(source: str | None, hub: HubParams) -> None:
    """Raise `ValueError` where `hub` is set, but the source is not on the hub."""
    if hub != HubParams() and (source is None or not source.startswith(HUB)):
        raise ValueError("hub should be as it ships (null, train, null) unless source is hub:owner/name")


class DatasetParams(Section):
    """Where the rows come from and which of them are usable."""

    source: DatasetSource | None
    """`embedded`, a path, or an http(s) URL of JSON, JSONL, CSV, TSV or Parquet, plain or gzipped; a folder or a
    pattern such as `my/data/*.jsonl` for several files; `hub:owner/name` for a dataset on the hub; null where
    `sources` lists several."""
    format: FileFormat
    """File format; `auto` goes by the file name, then by the first bytes."""
    shape: RowShape = "auto"
    """How a row looks; `auto` goes by the columns of the first rows."""
    sha256: Sha256 | None
    """Expected SHA-256 of the source file as fetched, or of the list of several files as `sha256sum` prints it; null:
    printed, not checked."""
    hub: HubParams = HubParams()
    """Which part of a dataset on the hub is read."""
    columns: ColumnNames
    """Which column of the source holds which field."""
    sources: list[SourceParams] = Field(default=[], max_length=100)
    """Several sources instead of one, each with `name` and `source`, and where needed `role`, `format`, `shape`,
    `sha256`, `hub`, `columns`, `max_rows` and `weight`."""
    seed: Seed = 123
    """Seed of the samples that `max_rows` and `weight` of a source take."""
    max_chars: int = Field(ge=1, le=MOST_COUNT)
    """Rows with a longer instruction, input, output or message (in characters) are rejected."""
    on_bad_row: Literal["reject", "fail"]
    """`reject` sets unusable rows aside in rejected.parquet; `fail` stops at the first."""
    max_rejected_fraction: float = Field(ge=0, le=1)
    """Fail when more than this share of the rows of a source is unusable."""

    @model_validator(mode="after")
    def _one_source_or_several(self) -> Self:
        if not self.sources:
            if self.source is None:
                raise ValueError("source should be set, for it is null and sources is empty")
            check_hub(self.source, self.hub)
            return self
        unset = SourceParams(name="-", source="-")
        own = [
            key for key in ("format", "shape", "sha256", "hub", "columns") if getattr(self, key) != getattr(unset, key)
        ]
        if alone := [*(["source"] if self.source is not None else []), *own]:
            raise ValueError(
                f"{', '.join(alone)} should be as where nothing is set, source null, since sources lists several: give "
                "these keys to those that need them"
            )
        _check_mix(self.sources)
        return self

    @property
    def keyed_sources(self) -> dict[str, SourceParams]:
        """Every source by the key that holds its settings, e.g. `fetch.dataset.sources.0`."""
        if self.sources:
            return {f"fetch.dataset.sources.{place}": source for place, source in enumerate(self.sources)}
        shared = {key: getattr(self, key) for key in ("format", "shape", "sha256", "hub", "columns")}
        return {"fetch.dataset": SourceParams(name="dataset", source=str(self.source), **shared)}


def _check_mix(sources: list[SourceParams]) -> None:
    """Raise `ValueError` for sources that cannot be told apart, weighed or trained on."""
    names = [source.name for source in sources]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"two sources are named {repeated[0]!r}: give each a name of its own")
    if not any(source.role in ("divided", "train") for source in sources):
        raise ValueError("no source has rows to train on: give one the role divided or train")
    weighed = [source for source in sources if source.weight is not None]
    if len(weighed) == 1:
        raise ValueError(f"source {weighed[0].name!r} alone has a weight: weigh it against another, or set max_rows")
