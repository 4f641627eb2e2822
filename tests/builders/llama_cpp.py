"""llama.cpp's own server, from the package xllamacpp, on a GGUF file."""

import importlib.util
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

needs_llama_cpp = pytest.mark.skipif(
    importlib.util.find_spec("xllamacpp") is None, reason="needs xllamacpp, which is there for Linux x86_64"
)

SERVER = """
import sys, xllamacpp
params = xllamacpp.CommonParams()
params.model.path = sys.argv[1]
params.n_ctx, params.n_parallel, params.port, params.warmup = 1024, 1, 0, False
params.cpuparams.n_threads = 1
server = xllamacpp.Server(params)
print("listening:", server.listening_address, flush=True)
sys.stdin.read()
"""


@contextmanager
def serving(model: Path, log: Path) -> Iterator[str]:
    """Yield the base URL of a server on a GGUF file; it ends with the block. What it says goes to the file `log`."""
    command, pipe = [sys.executable, "-c", SERVER, str(model)], subprocess.PIPE
    with (
        log.open("w") as output,
        subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=output, text=True) as process,
    ):
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line.startswith("listening:"), log.read_text()
            base = line.split()[1]
            deadline = time.monotonic() + 60
            while not requests.get(f"{base}/health", timeout=5).ok:
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.2)
            yield base
        finally:
            process.kill()
