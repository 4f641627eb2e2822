"""All of params.yaml, for commands, tests and the report; every other stage loads only its own section."""

from pathlib import Path
from typing import Self

from reprotune.params.schema import Section
from reprotune.params.sections.dataset import DatasetParams
from reprotune.params.sections.fetch import BaseParams
from reprotune.params.sections.finetune import FinetuneParams
from reprotune.params.sections.format import FormatParams
from reprotune.params.sections.generate import GenerateParams
from reprotune.params.sections.judge import JudgeParams
from reprotune.params.sections.split import SplitParams
from reprotune.params.sections.tokenize import TokenizeParams
from reprotune.params.values import PARAMS_FILE, read_document


class FetchParams(Section):
    """Where the dataset and the base model come from."""

    dataset: DatasetParams
    """The instruction records."""
    base: BaseParams
    """The pretrained model."""


class Document(Section):
    """Every section of params.yaml."""

    fetch: FetchParams
    split: SplitParams
    format: FormatParams
    tokenize: TokenizeParams
    finetune: FinetuneParams
    generate: GenerateParams
    judge: JudgeParams

    @classmethod
    def read(cls, path: Path = PARAMS_FILE) -> Self:
        """Read and check the whole file; raises `UserError` naming every fault."""
        return cls.parse("", read_document(path), path)
