"""The pipeline of sweeps, `sweep/dvc.yaml`: written by `reprotune sweep prepare`, from then on the user's to commit.

It is not there before, because DVC takes every pipeline in the repository for its own: `dvc checkout` would fail for
the outs of a sweep that was never run, and `dvc status` would show it. Plain `dvc repro` runs dvc.yaml alone.
"""

from pathlib import Path

from reprotune.artifacts import write_text
from reprotune.errors import UserError
from reprotune.files import read_text
from reprotune.params.values import read_document
from reprotune.pipeline.deps import fix_deps
from reprotune.sweep.definition import FOLDER

PIPELINE = FOLDER / "dvc.yaml"

LOOP = "    foreach:\n"
TEXT = """\
# Sweeps, a pipeline of its own: `dvc repro sweep/dvc.yaml` runs them, plain `dvc repro` never does.
# `reprotune sweep prepare NAME` added them; `reprotune deps --fix` keeps the code deps.

stages:
  sweep:
    foreach:
    do:
      wdir: ..
      cmd: python -m stages.sweep ${key}
      params:
        - finetune
      deps:
        - stages/sweep.py
        - ${item.definition}
        - data/base
        - data/formatted/chat_template.jinja
        - data/tokens/train.parquet
        - data/tokens/validation.parquet
      outs:
        - data/sweep/${key}/trials.parquet
        - data/sweep/${key}/rows.parquet
        - data/sweep/${key}/seconds.parquet

  sweep_report:
    foreach:
    do:
      wdir: ..
      cmd: python -m stages.sweep_report ${key}
      params:
        - finetune
      deps:
        - stages/sweep_report.py
        - ${item.definition}
        - data/sweep/${key}/trials.parquet
        - data/sweep/${key}/rows.parquet
      outs:
        - data/sweep/${key}/result.json
        - data/sweep/${key}/importance.json
        - data/sweep/${key}/curves.csv
        - data/sweep/${key}/effects.csv
        - data/sweep/${key}/index.html
"""


def prepare(root: Path, name: str) -> bool:
    """Put a sweep into the pipeline, which is written where it is missing, and tell whether anything changed.

    What else stands in the file stays. Raises `UserError` where it cannot be read.
    """
    path = root / PIPELINE
    known = prepared(root)
    if name not in known:
        text = read_text(path, f"delete {PIPELINE}") if known else TEXT
        write_text(path, text.replace(LOOP, f"{LOOP}      {name}:\n        definition: {FOLDER}/{name}.yaml\n"))
        if name not in prepared(root):
            raise UserError(
                f"{PIPELINE} has no line `foreach:` below its stages: delete it, and prepare your sweeps again"
            )
    return bool(fix_deps(root)) or name not in known


def prepared(root: Path) -> list[str]:
    """Return the sweeps that the pipeline has; raises `UserError` where it cannot be read."""
    path = root / PIPELINE
    if not path.is_file():
        return []
    try:
        return [str(name) for name in read_document(path)["stages"]["sweep"]["foreach"]]
    except (TypeError, KeyError) as error:
        raise UserError(
            f"{PIPELINE} has no stage sweep with a foreach: delete it, prepare your sweeps again"
        ) from error
