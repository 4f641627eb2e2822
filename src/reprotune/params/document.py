"""All of params.yaml, for commands, tests and the report; every other stage loads only its own section."""

from pathlib import Path
from typing import Self

from pydantic import model_validator

from reprotune.artifacts import MODELS
from reprotune.params.schema import Section
from reprotune.params.sections.benchmark import EMBEDDED_EXAM, EMBEDDED_TEXT, BenchmarkParams, BenchmarkSourceParams
from reprotune.params.sections.dataset import EMBEDDED_DATASET, DatasetParams
from reprotune.params.sections.export import ExportParams
from reprotune.params.sections.fetch import EMBEDDED_BASE, BaseParams
from reprotune.params.sections.finetune import FinetuneParams
from reprotune.params.sections.format import FormatParams
from reprotune.params.sections.generate import GenerateParams
from reprotune.params.sections.judge import JudgeParams
from reprotune.params.sections.preference import PreferenceParams
from reprotune.params.sections.split import SplitParams
from reprotune.params.sections.tokenize import TokenizeParams
from reprotune.params.values import PARAMS_FILE, read_document


class FetchParams(Section):
    """Where the dataset and the base model come from."""

    dataset: DatasetParams
    """The instruction records."""
    base: BaseParams
    """The pretrained model."""
    benchmark: BenchmarkSourceParams
    """The items of a multiple-choice benchmark."""


class Document(Section):
    """Every section of params.yaml."""

    fetch: FetchParams
    split: SplitParams
    format: FormatParams
    tokenize: TokenizeParams
    finetune: FinetuneParams
    generate: GenerateParams
    judge: JudgeParams
    benchmark: BenchmarkParams
    preference: PreferenceParams
    export: ExportParams

    @model_validator(mode="after")
    def _a_source_of_its_own_is_all_of_a_split(self) -> Self:
        roles = {source.role for source in self.fetch.dataset.sources}
        for name, share in (("test", self.split.test), ("validation", self.split.validation)):
            if name in roles and share != 0:
                raise ValueError(
                    f"a source in fetch.dataset.sources has the role {name}, but split.{name} is "
                    f"{'null' if share is None else f'{share:g}'}: set it to 0, or rows of other sources join its own"
                )
        return self

    @model_validator(mode="after")
    def _examples_come_from_a_split(self) -> Self:
        if self.benchmark.shots and self.fetch.benchmark.source is not None and not self.fetch.benchmark.shots_split:
            raise ValueError(
                f"benchmark.shots is {self.benchmark.shots}, but fetch.benchmark.shots_split is null: set it to the "
                "split whose rows are the examples, or shots to 0"
            )
        return self

    @classmethod
    def read(cls, path: Path = PARAMS_FILE) -> Self:
        """Read and check the whole file; raises `UserError` naming every fault."""
        return cls.parse("", read_document(path), path)

    def local_files(self) -> dict[str, list[Path]]:
        """Return the local files and folders that are named, by the stage that reads each.

        For a pattern of names it is the folder that its files are below, since a new one has to be noticed too.
        """
        named: dict[str, list[Path | None]] = {
            "fetch@dataset": [source.followed for source in self.fetch.dataset.keyed_sources.values()],
            "fetch@base": [self.fetch.base.path],
            "fetch@benchmark": [self.fetch.benchmark.followed],
            "format": [self.format.file],
            "judge": [*self.judge.files.values()],
            **{f"benchmark@{model}": self._read_by_benchmark for model in MODELS},
        }
        local = {stage: list(dict.fromkeys(filter(None, paths))) for stage, paths in named.items()}
        return {stage: paths for stage, paths in local.items() if paths}

    @property
    def _read_by_benchmark(self) -> list[Path | None]:
        return [self.benchmark.text_file, self.format.file if self.benchmark.framing == "template" else None]

    def followed_files(self) -> dict[str, list[Path]]:
        """Return the files that dvc.yaml should list as deps, by stage.

        They are the local ones; where params.yaml names none the embedded one, since the deps of a `foreach` cannot
        come and go.
        """
        embedded = {
            "fetch@dataset": [EMBEDDED_DATASET],
            "fetch@base": [EMBEDDED_BASE],
            "fetch@benchmark": [EMBEDDED_EXAM],
            **{f"benchmark@{model}": [EMBEDDED_TEXT] for model in MODELS},
        }
        return embedded | self.local_files()
