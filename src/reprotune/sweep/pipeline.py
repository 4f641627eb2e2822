"""The pipeline of sweeps, `sweep/dvc.yaml`: written by `reprotune sweep prepare`, from then on the user's to commit.

It is not there before, because DVC takes every pipeline in the repository for its own: `dvc checkout` would fail for
the outs of a sweep that was never run, and `dvc status` would show it. Plain `dvc repro` runs dvc.yaml alone.
"""

from collections.abc import Iterable
from pathlib import Path

from reprotune.artifacts import write_text
from reprotune.errors import UserError
from reprotune.params.values import read_document
from reprotune.pipeline.deps import fix_deps
from reprotune.sweep.definition import FOLDER

PIPELINE = FOLDER / "dvc.yaml"

TEXT = """\
# Sweeps, a pipeline of its own: `dvc repro sweep/dvc.yaml` runs them, plain `dvc repro` never does.
# `reprotune sweep prepare NAME` added them; `reprotune deps --fix` keeps the code deps.

stages:
  sweep:
    foreach:
{items}
    do:
      wdir: ..
      cmd: python -m stages.sweep ${{key}}
      params:
        - finetune
      deps:
        - stages/sweep.py
        - ${{item.definition}}
        - data/base
        - data/formatted/chat_template.jinja
        - data/tokens/train.parquet
        - data/tokens/validation.parquet
      outs:
        - data/sweep/${{key}}/trials.parquet
        - data/sweep/${{key}}/rows.parquet
        - data/sweep/${{key}}/seconds.parquet

  sweep_report:
    foreach:
{items}
    do:
      wdir: ..
      cmd: python -m stages.sweep_report ${{key}}
      params:
        - finetune
      deps:
        - stages/sweep_report.py
        - ${{item.definition}}
        - data/sweep/${{key}}/trials.parquet
        - data/sweep/${{key}}/rows.parquet
      outs:
        - data/sweep/${{key}}/result.json
        - data/sweep/${{key}}/importance.json
        - data/sweep/${{key}}/curves.csv
        - data/sweep/${{key}}/effects.csv
        - data/sweep/${{key}}/index.html
"""


def prepare(root: Path, name: str) -> bool:
    """Put a sweep into the pipeline, which is written where it is missing, and tell whether anything changed."""
    known = prepared(root)
    if name in known:
        return bool(fix_deps(root))
    write_text(root / PIPELINE, _text([*known, name]))
    fix_deps(root)
    return True


def prepared(root: Path) -> list[str]:
    """Return the sweeps that the pipeline has; raises `UserError` where it cannot be read."""
    path = root / PIPELINE
    if not path.is_file():
        return []
    try:
        return [str(name) for name in read_document(path)["stages"]["sweep"]["foreach"]]
    except (TypeError, KeyError) as error:
        raise UserError(
            f"{path} has no stage sweep with a foreach: delete it, and prepare your sweeps again"
        ) from error


def _text(names: Iterable[str]) -> str:
    items = "\n".join(f"      {name}:\n        definition: {FOLDER}/{name}.yaml" for name in sorted(set(names)))
    return TEXT.format(items=items)
