"""The stages of the pipeline, one script each; they use the package of their own checkout, whatever is installed.

DVC hashes the files of this checkout, so with another package the results would be recorded under code that never ran.
"""

import os
import signal
import sys
from pathlib import Path
from typing import Any


def end_quietly(*_: Any) -> None:
    """End at once after Ctrl-C; `run_stage` replaces this while a stage is at work."""
    os.write(2, b"interrupted\n")
    os._exit(130)


if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # else it is ignored, as in the background of a shell
    signal.signal(signal.SIGINT, end_quietly)

CHECKOUT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(CHECKOUT / "src"))

import reprotune  # noqa: E402 - found on the path just set

TORCH_SETTINGS = {
    # By default torch's threads spin for a long time while they wait for one another; as soon as anything else needs a
    # core, a training step on two cores takes ten times as long. Sleeping at once costs a tenth when nothing else runs.
    # This is a compromise.
    "GOMP_SPINCOUNT": "5000",
    # Large tensors on pages of 2 MB, where Linux has them: allocating memory takes a few percent less time.
    "THP_MEM_ALLOC_ENABLE": "1",
}
"""What torch reads from the environment when it is loaded; the user's own settings take precedence."""

for name, value in TORCH_SETTINGS.items():
    if name != "GOMP_SPINCOUNT" or "OMP_WAIT_POLICY" not in os.environ:  # the user has said how threads wait
        os.environ.setdefault(name, value)

if not Path(reprotune.__file__).resolve().is_relative_to(CHECKOUT):  # imported before this package, by whatever means
    sys.exit(
        f"error: the stages in {CHECKOUT} would run the code in {Path(reprotune.__file__).resolve().parent}, which DVC "
        f"does not hash: run `pip install -e .` in {CHECKOUT}"
    )
