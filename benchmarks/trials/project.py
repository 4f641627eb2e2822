"""The project to torment: a tiny copy of this repository with a finished pipeline."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from reprotune.params.values import read_document  # noqa: E402 - found on the path just set
from reprotune.pipeline.dvc_yaml import CODE, DVC_YAML, expanded_stages  # noqa: E402
from tests.builders.clone import Clone, build  # noqa: E402

PIPELINE = dict(expanded_stages(read_document(ROOT / DVC_YAML)))
MEASURED = ("data/speed/", "data/report/", "metrics/speed.json")
"""How fast it went, or shows it."""


def entries(stage: str, *kinds: str) -> tuple[str, ...]:
    """Return the paths or params that dvc.yaml lists for a stage, each once."""
    listed = [entry for kind in kinds for entry in PIPELINE[stage].get(kind) or []]
    return tuple(dict.fromkeys(next(iter(entry)) if isinstance(entry, dict) else entry for entry in listed))


def is_measured(path: str) -> bool:
    return f"{path}/".startswith(MEASURED) or path in MEASURED


STAGES = {stage: definition["cmd"].removeprefix("python -m ").split() for stage, definition in PIPELINE.items()}
"""Stage -> what runs it, in the order of the pipeline."""

INPUTS = {stage: tuple(path for path in entries(stage, "deps") if not path.startswith(CODE)) for stage in PIPELINE}
"""Stage -> what it reads."""

OUTS = {
    stage: tuple(path for path in entries(stage, "outs", "metrics", "plots") if not is_measured(path))
    for stage in PIPELINE
}
"""Stage -> what it writes, without what shows how fast it went."""

SECTIONS: dict[str, list[str]] = {}
"""Section of params.yaml -> the stages that read it, without card and report, which show nearly all."""
for _stage in PIPELINE:
    if _stage in ("card", "report"):
        continue
    for _section in dict.fromkeys(key.partition(".")[0] for key in entries(_stage, "params")):
        SECTIONS.setdefault(_section, []).append(_stage)

EMBEDDED = {
    "dataset": "data/embedded/dataset.jsonl",
    "base": "data/embedded/base",
    "benchmark": "data/embedded/exam.jsonl",
}
"""What is fetched where the params name nothing else."""
SETTINGS = ("params.yaml", "dvc.yaml")
RUN_SECONDS = 1800.0
"""Longest time for one `dvc repro`, which takes half a minute on an idle machine."""
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
        """Make the project below `work`; takes two minutes, and none where one is left from the same code."""
        clone = Clone(work / "project", home=work / "home", seconds=RUN_SECONDS)
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

    def set_source(self, folder: Path, kind: str, source: str) -> None:
        """Set `fetch.<kind>.source`, also in dvc.yaml: else that it is missing there is all that anybody says."""
        dvc_yaml = folder / "dvc.yaml"
        text = dvc_yaml.read_text(encoding="utf-8")
        before = EMBEDDED[kind]
        changed = text.replace(f"source: {before}\n", f"source: {json.dumps(source)}\n")
        if changed == text:
            raise ValueError(f"dvc.yaml does not list {before}")
        dvc_yaml.write_text(changed, encoding="utf-8")
        self.set_params(folder, {f"fetch.{kind}.source": source})


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
