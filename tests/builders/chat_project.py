"""A folder with two tiny models that can be asked, and a server on it."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from reprotune.dataset.tokenizers.files import complete_tokenizer_files
from reprotune.model.config import ModelConfig
from reprotune.model.network import Network
from reprotune.model.weights import save_model

ROOT = Path(__file__).resolve().parents[2]
CONTEXT = 256
SHAPE = ModelConfig(n_layer=1, n_head=2, n_embd=16, n_positions=CONTEXT)
TOKENIZER_FILES = ("vocab.json", "merges.txt", "tokenizer_config.json")


def write_project(folder: Path, shape: ModelConfig = SHAPE) -> Path:
    """Write params.yaml and the models `base` and `finetuned`, with long answers of all kinds of characters."""
    shutil.copy2(ROOT / "params.yaml", folder)
    for number, name in enumerate(("base", "model")):
        model = Network(shape)
        model.initialize(torch.Generator().manual_seed(number))
        with torch.no_grad():
            model.wte.weight.mul_(20)
        save_model(model, folder / "data" / name)
        for file in TOKENIZER_FILES:
            shutil.copy2(ROOT / "data/embedded/base" / file, folder / "data" / name)
    complete_tokenizer_files(folder / "data/base")
    return folder


@contextmanager
def running(
    project: Path, *options: str, command: str = "serve", port: int = 0, **variables: str
) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """Yield the address of `reprotune serve` (or `chat`) in a folder, and its process."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("REPROTUNE_", "OPENAI_"))}
    environment = kept | {"PYTHONPATH": str(ROOT / "src"), "REPROTUNE_DEVICE": "cpu"} | variables
    words = [sys.executable, "-m", "reprotune.cli", command, "--port", str(port), *options]
    with subprocess.Popen(words, cwd=project, env=environment, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            said = ""
            while not (found := re.search(r"at (http://\S+)/v1", said)):
                line = process.stderr.readline()
                assert line, f"the server ended: {said}"
                said += line
            yield found[1], process
        finally:
            process.kill()


def body(model: str = "finetuned", **options: Any) -> dict[str, Any]:
    """Return the body of a request for a chat completion."""
    return {"model": model, "messages": [{"role": "user", "content": "Name a colour."}], **options}
