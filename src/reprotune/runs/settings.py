"""The document `repeats/params.yaml`, apart from params.yaml: nothing in it changes the pipeline's own results."""

from pathlib import Path

from pydantic import Field

from reprotune.params.schema import Section

SETTINGS = Path("repeats/params.yaml")


class RepeatsParams(Section):
    """How often the pipeline's training is repeated with other seeds."""

    seeds: int = Field(ge=2, le=1000)
    """Number of runs: with `finetune.seed` and the numbers that follow it."""
    keep_models: bool
    """Keep the weights of every run in `.reprotune/trials/`, so that a change of `generate` does not train again."""
