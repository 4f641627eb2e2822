"""Sections `fetch.benchmark` and `benchmark`."""

import re
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from reprotune.params.schema import MOST_COUNT, Location, Section, Seed, Sha256
from reprotune.params.sections.dataset import HUB, DatasetSource, FileFormat, HubParams, SourceParams, check_hub

EMBEDDED_EXAM = Path("data/embedded/exam.jsonl")
EMBEDDED_TEXT = Path("data/embedded/held_out.txt")

TaskName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
SplitName = Annotated[str, Field(min_length=1, max_length=100)]
Formulation = Literal["letters", "cloze"]
MOST_SHOTS = 5


class ItemColumns(Section):
    """Which column of the source holds which part of an item."""

    question: str = "question"
    """Column of the question, or of the beginning that the choices continue."""
    choices: str = "choices"
    """Column of the list of choices; several columns of one choice each are named with commas, e.g. `A,B,C,D`."""
    answer: str = "answer"
    """Column of the right answer: its index from 0, its letter, or the text of the choice."""
    context: str = "context"
    """Column of a text that is read before the question; may be missing."""
    subject: str = "subject"
    """Column of the subject; may be missing."""
    split: str = "split"
    """Column of the split, which tells items from examples; may be missing, and all rows are items then."""


class BenchmarkSourceParams(Section):
    """Where the items of a benchmark by likelihood come from."""

    source: DatasetSource | None
    """`embedded`: the exam on the embedded textbook; a folder or tar archive of CSV files as Hendrycks et al. publish
    MMLU; a file, folder or pattern of JSON, JSON Lines, CSV, TSV or Parquet; an http(s) URL; `hub:owner/name`; null:
    no benchmark."""
    task: TaskName
    """What the metrics call the benchmark."""
    format: FileFormat = "auto"
    """As `fetch.dataset.format`; archives and folders of CSV files are known by their names."""
    sha256: Sha256 | None
    """As `fetch.dataset.sha256`."""
    hub: HubParams = HubParams()
    """Which part of a dataset on the hub holds the items."""
    split: SplitName | None = None
    """Split whose rows are the items, where the source is not on the hub (`hub.split` names it there): a value of the
    column `split`, or a folder or part of a file's name; null: `test` of files in the layout of Hendrycks et al., and
    otherwise all rows that are no examples."""
    shots_split: SplitName | None
    """Split whose rows are the examples for `benchmark.shots`: a value of the column `split`, a folder or part of a
    file's name, a split of the hub's dataset; null: there are none."""
    columns: ItemColumns = ItemColumns()
    """Which column holds what; files without a header, as Hendrycks et al. publish them, need none."""
    preparation: Literal["none", "hellaswag"]
    """What is done to texts before they are asked: `hellaswag` joins activity label and context and removes the
    marks of the source, as lm-eval does."""
    max_rejected_fraction: float = Field(ge=0, le=1)
    """Fail when more than this share of the rows is unusable."""

    @model_validator(mode="after")
    def _splits_that_differ(self) -> Self:
        check_hub(self.source, self.hub)
        on_hub = self.source is not None and self.source.startswith(HUB)
        if on_hub and self.split is not None:
            raise ValueError("split should be null for a dataset on the hub, where hub.split names the items")
        if self.shots_split is not None and self.shots_split == (self.hub.split if on_hub else self.split):
            raise ValueError(
                f"the items and the examples are both of the split {self.shots_split!r}, but an item must not be its "
                "own example"
            )
        return self

    @property
    def rows(self) -> SourceParams | None:
        """Where the rows are, in the terms of a dataset's source; None where there is no benchmark."""
        if self.source is None:
            return None
        source = str(EMBEDDED_EXAM) if self.source == "embedded" else self.source
        return SourceParams(name=self.task, source=source, format=self.format, sha256=self.sha256, hub=self.hub)

    @property
    def followed(self) -> Path | None:
        """What DVC has to follow, as for a dataset's source."""
        return None if self.rows is None else self.rows.followed


class BenchmarkParams(Section):
    """How the items are asked, and the plain text on which forgetting is measured."""

    formulations: list[Formulation] = Field(min_length=0, max_length=2)
    """`letters`: the options are listed, and the letters A, B, ... compete; `cloze`: the options' texts do."""
    style: Literal["auto", "question", "beginning"]
    """What the items are: `question`, asked as lm-eval asks MMLU, ARC and PIQA; `beginning`, which the choices continue
    as they are; `auto`: beginnings in the embedded exam and with the preparation `hellaswag`, else questions."""
    shots: int = Field(ge=0, le=MOST_SHOTS)
    """Examples before each item: the first ones of its subject, in the order of the source."""
    framing: Literal["plain", "template"]
    """`plain`: the text as published; `template`: inside the instruction template, as a user of the fine-tuned model
    would send it."""
    on_too_long: Literal["cut_left", "drop_shots"]
    """What gives way where a prompt is longer than the model's context: its beginning, or its last examples (and
    the beginning, if none is left)."""
    items_per_subject: int | None = Field(ge=1, le=MOST_COUNT)
    """Ask only so many items of each subject, drawn with `seed`; null: all."""
    seed: Seed
    """Seed of the sample."""
    text: Location | None
    """Plain text, one document a line, on which the loss of base and fine-tuned model is compared: `embedded` (pages
    of the textbook that pretraining never saw), a path, or null: none."""
    precision: Literal["fp32", "bf16", "auto"]
    """Arithmetic of matrix products; fp32 keeps figures independent of batching."""

    @model_validator(mode="after")
    def _named_once(self) -> Self:
        if len(set(self.formulations)) < len(self.formulations):
            raise ValueError("formulations should name each formulation once")
        return self

    @property
    def text_file(self) -> Path | None:
        """The file of the plain text; None for none."""
        if self.text is None:
            return None
        return EMBEDDED_TEXT if self.text == "embedded" else Path(self.text).expanduser()

    def asks_beginnings(self, source: BenchmarkSourceParams) -> bool:
        """Tell whether the items of a source are beginnings that the choices continue."""
        if self.style == "auto":
            return source.source == "embedded" or source.preparation == "hellaswag"
        return self.style == "beginning"

    def name(self, formulation: str) -> str:
        """Return the name under which figures of a formulation are published, e.g. `cloze_0shot_plain`."""
        parts = [formulation, f"{self.shots}shot", self.framing]
        if self.on_too_long == "drop_shots" and self.shots:
            parts.append("drop_shots")
        if self.items_per_subject is not None:
            parts.append(f"{self.items_per_subject}_a_subject")
        return "_".join(parts)


FORMULATION = re.compile(r"(letters|cloze)_[0-5]shot_(plain|template)(_drop_shots)?(_[0-9]+_a_subject)?")
