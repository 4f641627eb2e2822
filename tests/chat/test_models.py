"""Models of the workspace and of a Git revision, with the prompts that they were trained with."""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from ruamel.yaml import YAML

from reprotune.chat.models import open_model
from reprotune.compute.device import Compute
from reprotune.errors import UserError
from tests.builders.chat_project import write_project
from tests.compare.test_stale import git

CPU = Compute(torch.device("cpu"), torch.float32)
MODEL_FILES = {
    "data/base": ("tokenizer.json", "tokenizer_config.json"),
    "data/model": ("config.json", "model.safetensors"),
}
TEMPLATE = "Frage: {{ instruction }}{# header #}\nAntwort: {{ response }}"
QUESTION = [{"role": "user", "content": "Hi"}]


@pytest.fixture
def committed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository whose commit was trained with a template of its own; params.yaml has been edited since."""
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "site"))
    root = tmp_path / "repository"
    root.mkdir()
    write_project(root)
    git(root, "init", "--quiet")
    (root / ".dvc").mkdir()
    (root / ".dvc/config").touch()
    (root / ".gitignore").write_text("/data\n.dvc/cache\n.dvc/tmp\n")
    (root / "own.jinja").write_text(TEMPLATE, encoding="utf-8")
    (root / "dvc.yaml").write_text("stages: {}\n")
    outs = [{"path": folder, "md5": store_folder(root, folder), "hash": "md5"} for folder in MODEL_FILES]
    format_params = {"template": "own.jinja", "response_header": "in_prompt", "train_on": "all"}
    stages: dict[str, Any] = {
        "format": {"cmd": "format", "params": {"params.yaml": {"format": format_params}}, "outs": []},
        "finetune": {"cmd": "train", "outs": outs},
    }
    with (root / "dvc.lock").open("w", encoding="utf-8") as file:
        YAML().dump({"schema": "2.0", "stages": stages}, file)
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", "trained")
    return root


def store(root: Path, content: bytes, ending: str = "") -> str:
    md5 = hashlib.md5(content, usedforsecurity=False).hexdigest() + ending
    place = root / ".dvc/cache/files/md5" / md5[:2] / md5[2:]
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(content)
    return md5


def store_folder(root: Path, folder: str) -> str:
    files = [{"md5": store(root, (root / folder / name).read_bytes()), "relpath": name} for name in MODEL_FILES[folder]]
    return store(root, json.dumps(files).encode(), ".dir")


def test_a_revision_has_the_model_and_the_prompt_of_its_own(committed: Path) -> None:
    here = open_model("finetuned", CPU, committed)
    (committed / "own.jinja").write_text(TEMPLATE.replace("Frage", "Question"), encoding="utf-8")
    shutil.rmtree(committed / "data/model")
    there = open_model("HEAD", CPU, committed)
    assert there.name == "HEAD"
    assert there.prompts.of_messages(QUESTION).text == "Frage: Hi\nAntwort: "
    assert there.prompts.of_messages(QUESTION) == here.prompts.of_messages(QUESTION)
    assert torch.equal(here.network.wte.weight, there.network.wte.weight)
    assert open_model("finetuned", CPU, committed).prompts.of_messages(QUESTION).text.startswith("Question: Hi")


def test_a_prompt_is_that_of_the_training_whatever_params_say_now(committed: Path) -> None:
    """params.yaml names alpaca, with which nothing has been trained."""
    assert "template: alpaca" in (committed / "params.yaml").read_text(encoding="utf-8")
    assert open_model("base", CPU, committed).prompts.template == "own.jinja"


def test_what_cannot_be_had_is_named(committed: Path) -> None:
    shutil.rmtree(committed / ".dvc/cache")
    with pytest.raises(UserError, match=r"tokenizer\.json of HEAD .* is not in DVC's cache|data/base of HEAD"):
        open_model("HEAD", CPU, committed)
    with pytest.raises(UserError, match="no-such-branch"):
        open_model("no-such-branch", CPU, committed)
    (committed / "data/model/model.safetensors").write_bytes(b"broken")
    with pytest.raises(UserError, match=r"model\.safetensors"):
        open_model("finetuned", CPU, committed)
