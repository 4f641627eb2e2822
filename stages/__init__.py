"""The stages of the pipeline, one script each."""

import os

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
