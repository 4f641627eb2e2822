"""Copy dataset, exam, held-out pages and base model from build/ to where the main pipeline reads them and Git has them.

A command, not a stage: the main pipeline must not change because somebody reruns this one.
"""

import shutil
from pathlib import Path

from reprotune.artifacts import replaced_directory
from reprotune.console import run_stage
from reprotune.errors import UserError

BUILD = Path("build")
EMBEDDED = Path("..")
WRITTEN = ("dataset.jsonl", "exam.jsonl", "held_out.txt")
MODEL_CARD = "README.md"
LARGEST_MODEL = 40_000_000
"""Most bytes of weights that Git should keep."""


def main() -> None:
    """Publish what `write` wrote beside the text, and build/base; the model card in data/embedded/base stays."""
    base = BUILD / "base"
    weights = base / "model.safetensors"
    if not all((BUILD / name).is_file() for name in WRITTEN) or not weights.is_file():
        raise UserError(f"{BUILD} holds no finished build: run `dvc repro` in data/embedded/textbook first")
    if weights.stat().st_size > LARGEST_MODEL:
        raise UserError(f"{weights} is larger than {LARGEST_MODEL:,} bytes: make the network smaller in params.yaml")
    for name in WRITTEN:
        shutil.copyfile(BUILD / name, EMBEDDED / name)
    card = EMBEDDED / "base" / MODEL_CARD
    with replaced_directory(EMBEDDED / "base") as folder:
        shutil.copytree(base, folder, dirs_exist_ok=True, copy_function=shutil.copyfile)
        if card.is_file():
            shutil.copyfile(card, folder / MODEL_CARD)


if __name__ == "__main__":
    run_stage("publish", main)
