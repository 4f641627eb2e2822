"""Stages in processes of their own, measured as the kernel counts."""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from side_by_side.workload import ROOT


def run_measured(command: list[str], folder: Path) -> dict[str, Any]:
    """Run a command; wall and processor seconds and the largest memory of its process, as the kernel counts them."""
    environment = os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'src'}", "DVC_ROOT": str(folder)}
    started = time.perf_counter()
    with (folder / "output.txt").open("w+", encoding="utf-8") as output:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=output, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            sys.exit(f"{' '.join(command)} ended with exit code {process.returncode}")
        output.seek(0)
        return {
            "seconds": time.perf_counter() - started,
            "cpu_seconds": usage.ru_utime + usage.ru_stime,
            "memory_mb": usage.ru_maxrss * 1024 / 1e6,
            "output": output.read(),
        }
