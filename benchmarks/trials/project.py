"""The project to torment: a tiny copy of this repository with a finished pipeline."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from tests.builders.clone import Clone, build  # noqa: E402 - found on the path just set

STAGES = {
    "fetch@dataset": ["stages.fetch", "dataset"],
    "fetch@base": ["stages.fetch", "base"],
    "split": ["stages.split"],
    "format": ["stages.format"],
    "tokenize": ["stages.tokenize"],
    "finetune": ["stages.finetune"],
    "generate@base": ["stages.generate", "base"],
    "generate@finetuned": ["stages.generate", "finetuned"],
    "judge": ["stages.judge"],
    "report": ["stages.report"],
}
"""Stage -> what runs it, in the order of the pipeline."""

INPUTS = {
    "fetch@dataset": ("data/embedded/dataset.jsonl",),
    "fetch@base": ("data/embedded/base",),
    "split": ("data/raw/records.parquet",),
    "format": tuple(f"data/split/{name}.parquet" for name in ("train", "validation", "test")),
    "tokenize": tuple(f"data/formatted/{name}.parquet" for name in ("train", "validation", "test")),
    "finetune": ("data/base", "data/tokens/train.parquet", "data/tokens/validation.parquet"),
    "generate@base": ("data/formatted/test.parquet", "data/base"),
    "generate@finetuned": ("data/formatted/test.parquet", "data/model"),
    "judge": ("data/responses/base.parquet", "data/responses/finetuned.parquet", "data/split/test.parquet"),
    "report": (
        *(f"data/{name}/summary.json" for name in ("raw", "split", "formatted", "tokens")),
        *("data/model/metrics.json", "data/model/loss.csv", "data/speed/finetune.json", "data/responses"),
        *("data/judgements/metrics.json", "data/judgements/scores.parquet", "data/split/test.parquet"),
    ),
}
"""Stage -> what it reads."""

OUTS = {
    "fetch@dataset": ("data/raw",),
    "fetch@base": ("data/base",),
    "split": ("data/split",),
    "format": ("data/formatted",),
    "tokenize": ("data/tokens",),
    "finetune": ("data/model",),
    "generate@base": ("data/responses/base.parquet",),
    "generate@finetuned": ("data/responses/finetuned.parquet",),
    "judge": ("data/judgements",),
    "report": ("metrics/scores.json", "metrics/training.json", "metrics/data.json", "metrics/plots"),
}
"""Stage -> what it writes, without what shows how fast it went (data/speed, metrics/speed.json, data/report)."""

LARGEST_OUT = dict.fromkeys(STAGES, 20_000) | dict.fromkeys(("fetch@base", "finetune"), 4_000_000)
"""Stage -> about the bytes of its largest file."""

SETTINGS = ("params.yaml", "dvc.yaml")
LONGER = {"finetune.epochs": 3, "finetune.batch_size": 8}
"""So that training has enough steps to be killed between two of them."""


class Project:
    """A finished pipeline, which is only copied from."""

    def __init__(self, clone: Clone) -> None:
        self.clone = clone
        self.root = clone.root
        self.environment = clone.environment

    @classmethod
    def made(cls, work: Path) -> "Project":
        """Make the project below `work`; takes a minute, and nothing where one is left from the same code."""
        clone = Clone(work / "project", home=work / "home")
        clone.home.mkdir(parents=True, exist_ok=True)
        state = work / "made-of"
        now = code_state()
        if not (state.is_file() and state.read_text(encoding="utf-8") == now):
            build(clone)
            clone.set_params(LONGER)
            # A checkpoint after each step, where a minute lies between two of a real run.
            clone.edit(
                "src/reprotune/training/loop.py", lambda text: text.replace("SAVE_SECONDS = 60.0", "SAVE_SECONDS = 0.0")
            )
            clone.repro()
            clone.commit("longer")
            state.write_text(now, encoding="utf-8")
        return cls(clone)

    def part(self, folder: Path, names: tuple[str, ...]) -> None:
        """Copy files and folders of the project."""
        for name in names:
            source, target = self.root / name, folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True)
            elif source.exists():
                shutil.copy2(source, target)

    def whole(self, folder: Path) -> None:
        """Copy the repository; what no command looks into is left out."""
        left_out = shutil.ignore_patterns("tests", "docs", "benchmarks", "__pycache__")
        shutil.copytree(self.root, folder, symlinks=True, ignore=left_out, dirs_exist_ok=True)

    def copy(self, folder: Path) -> Clone:
        """Copy everything, for `dvc` to run in."""
        return self.clone.copy(folder)

    def set_params(self, folder: Path, changes: dict[str, Any]) -> None:
        Clone(folder, self.clone.home).set_params(changes)


def code_state() -> str:
    """Return what identifies the working tree that the project is a copy of."""
    names = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "src", "stages", "dvc.yaml"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\0")
    files = [ROOT / name for name in names if name and (ROOT / name).is_file()]
    return "\n".join(f"{file} {file.stat().st_mtime_ns}" for file in sorted(files))
