"""The pipeline of repeats: two files in `repeats/`, written on first use and from then on the user's to commit.

They are not there before, because DVC takes every pipeline in the repository for its own: `dvc checkout` fails for outs
that were never made, and `dvc status` and `dvc dag` show stages that nobody has asked for. Plain `dvc repro` runs
dvc.yaml alone.
"""

from pathlib import Path

from reprotune.artifacts import write_text
from reprotune.pipeline.deps import fix_deps
from reprotune.runs.settings import SETTINGS, RepeatsParams

PIPELINE = Path("repeats/dvc.yaml")
SEEDS = 5
"""Runs where nobody says how many."""

TEXT = """\
# Repeats of the pipeline's training with other seeds: `dvc repro repeats/dvc.yaml`. Plain `dvc repro` does not run it.
# `reprotune repeat` wrote this file; `reprotune deps --fix` keeps the code deps.

stages:
  repeat:
    wdir: ..
    cmd: python -m stages.repeat runs
    params:
      - finetune
      - generate
      - judge
      - repeats/params.yaml:
          - repeats
    deps:
      - stages/repeat.py
      - data/tokens/train.parquet
      - data/tokens/validation.parquet
      - data/formatted/chat_template.jinja
      - data/formatted/test.parquet
      - data/split/test.parquet
      - data/base
    outs:
      - data/repeats

  publish:
    wdir: ..
    cmd: python -m stages.repeat publish
    deps:
      - stages/repeat.py
      - data/repeats/metrics.json
    metrics:
      - metrics/repeats.json:
          cache: false
"""


def prepare(root: Path, seeds: int | None, keep_models: bool | None) -> RepeatsParams:
    """Write the pipeline where it is missing, set what is not null, and return the settings that hold now.

    Raises `UserError` where a file cannot be read, or a value cannot be.
    """
    path = root / SETTINGS
    known = RepeatsParams.load("repeats", path) if path.is_file() else None
    values = known.model_dump() if known else {"seeds": SEEDS, "keep_models": False}
    values |= {key: value for key, value in (("seeds", seeds), ("keep_models", keep_models)) if value is not None}
    settings = RepeatsParams.parse("repeats", values, SETTINGS)
    if settings != known:
        write_text(path, _settings_text(settings))
    if not (root / PIPELINE).is_file():
        write_text(root / PIPELINE, TEXT)
    fix_deps(root)
    return settings


def _settings_text(settings: RepeatsParams) -> str:
    return (
        "# Set by `reprotune repeat --seeds N`; read by repeats/dvc.yaml.\n"
        "repeats:\n"
        "  # runs, with finetune.seed and the numbers that follow it\n"
        f"  seeds: {settings.seeds}\n"
        "  # keep the weights of every run in .reprotune/trials/\n"
        f"  keep_models: {str(settings.keep_models).lower()}\n"
    )
