"""Real `dvc` in a temporary Git repository made of the working tree, with a tiny base model and a slice of the dataset.

The pipeline runs once per test session, also under pytest-xdist; tests work on copies of that finished repository,
DVC's cache included.
"""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from ruamel.yaml import YAML

from reprotune.model.config import ModelConfig
from reprotune.model.network import Network
from reprotune.model.weights import save_model

ROOT = Path(__file__).resolve().parents[2]
ROWS = 64
TINY_MODEL = ModelConfig(n_layer=1, n_head=2, n_embd=16, n_positions=512)
TINY_PARAMS = {
    "finetune.epochs": 1,
    "finetune.batch_size": 16,
    "finetune.precision": "fp32",
    "generate.max_new_tokens": 4,
}
REPLACED = ("data/embedded/base/", "dvc.lock", "metrics/")
"""Not copied: the base model and the results of earlier runs."""
FOREIGN_SETTINGS = ("GIT_", "DVC_", "HF_", "OLLAMA_", "OPENAI_", "REPROTUNE_", "PYTHON")
"""Environment variables with these prefixes could change what a test sees."""


class Clone:
    """A Git repository with the pipeline in it, and commands that run there with its own code."""

    def __init__(self, root: Path, home: Path, seconds: float = 300) -> None:
        self.root = root
        self.home = home
        self.seconds = seconds
        """Longest time for one command."""

    def copy(self, target: Path) -> "Clone":
        """Copy the repository with its artifacts and DVC's cache."""
        shutil.copytree(self.root, target, symlinks=True)
        return Clone(target, self.home, self.seconds)

    @property
    def environment(self) -> dict[str, str]:
        """Settings under which `python` is this environment's and `reprotune` is the repository's own package."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN_SETTINGS)}
        return kept | {
            "PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"])),
            "PYTHONPATH": os.pathsep.join((str(self.root / "src"), str(self.root))),
            "HOME": str(self.home),
            "OMP_NUM_THREADS": "1",
            "REPROTUNE_DEVICE": "cpu",
            "DVC_NO_ANALYTICS": "1",
            "DVC_SITE_CACHE_DIR": str(self.home / "dvc-site"),
            "GIT_CONFIG_NOSYSTEM": "1",
        }

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command in the repository; with `check`, fail the test with its output unless it exits with 0."""
        done = subprocess.run(
            command,
            cwd=self.root,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=self.seconds,
        )
        if check and done.returncode:
            pytest.fail(f"{' '.join(command)} exits with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done

    def repro(self, *arguments: str) -> list[str]:
        """Run `dvc repro` and return the stages that really ran, sorted; a stage leaves its time when it is done."""
        timings = self.root / ".reprotune/timings"
        shutil.rmtree(timings, ignore_errors=True)
        self.run("dvc", "repro", *arguments)
        return sorted(path.stem for path in timings.glob("*.json"))

    def commit(self, message: str) -> None:
        """Commit everything that Git does not ignore."""
        self.run("git", "add", "--all")
        self.run("git", "commit", "--quiet", "--allow-empty", "--message", message)

    def set_params(self, changes: Mapping[str, Any]) -> None:
        """Set keys of params.yaml, given with dots; unknown keys are an error of the test."""
        yaml = YAML()
        path = self.root / "params.yaml"
        document = yaml.load(path)
        for name, value in changes.items():
            *sections, key = name.split(".")
            section = document
            for part in sections:
                section = section[part]
            assert key in section, f"params.yaml has no key {name}"
            section[key] = value
        yaml.dump(document, path)

    def edit(self, name: str, edit: Callable[[str], str]) -> None:
        """Change the text of a file."""
        path = self.root / name
        text = path.read_text(encoding="utf-8")
        changed = edit(text)
        assert changed != text, f"the edit of {name} changes nothing"
        path.write_text(changed, encoding="utf-8")

    def hashes(self, *folders: str) -> dict[str, str]:
        """Return the SHA-256 of every file in these folders of the repository."""
        files = sorted(path for folder in folders for path in (self.root / folder).rglob("*") if path.is_file())
        return {path.relative_to(self.root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}

    def read_json(self, name: str) -> Any:
        return json.loads((self.root / name).read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all workers of pytest-xdist share."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@pytest.fixture(scope="session")
def finished(shared_folder: Path) -> Clone:
    """The repository after its first `dvc repro`, committed. Only copied from: DVC allows one process at a time."""
    clone = Clone(shared_folder / "pipeline/finished", home=shared_folder / "pipeline/home")
    clone.home.mkdir(parents=True, exist_ok=True)
    with (shared_folder / "pipeline/lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = shared_folder / "pipeline/done"
        if not done.exists():
            build(clone)
            done.touch()
    return clone


@pytest.fixture
def clone(finished: Clone, tmp_path: Path) -> Clone:
    """A copy of the finished repository, to be changed at will."""
    return finished.copy(tmp_path / "clone")


def build(clone: Clone) -> None:
    """Make the repository, run the pipeline, and commit before and after."""
    shutil.rmtree(clone.root, ignore_errors=True)
    copy_working_tree(clone.root)
    (clone.home / ".gitconfig").write_text(
        "[user]\nname = Test\nemail = test@localhost\n[init]\ndefaultBranch = main\n"
    )
    dataset = clone.root / "data/embedded/dataset.jsonl"
    with dataset.open(encoding="utf-8") as file:
        rows = list(islice(file, ROWS))
    dataset.write_text("".join(rows), encoding="utf-8")
    model = Network(TINY_MODEL)
    model.initialize(torch.Generator().manual_seed(0))
    save_model(model, clone.root / "data/embedded/base")
    clone.set_params(TINY_PARAMS)
    code = clone.run("python", "-c", "import reprotune, stages.split; print(reprotune.__file__, stages.split.__file__)")
    assert all(path.startswith(str(clone.root)) for path in code.stdout.split()), code.stdout
    clone.run("git", "init", "--quiet")
    clone.commit("before")
    clone.repro()
    clone.commit("after")


def copy_working_tree(target: Path) -> None:
    """Copy what Git tracks or would track, as it stands."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file() and not name.startswith(REPLACED):
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
