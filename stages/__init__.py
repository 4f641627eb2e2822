"""The stages of the pipeline, one script each."""

import os

TORCH_SETTINGS = {
    # By default torch's threads spin for long while they wait for one another; as soon as anything else wants a core,
    # a training step on two cores takes ten times longer. Sleeping at once costs a tenth when nothing else runs. This
    # is in between.
    "GOMP_SPINCOUNT": "5000",
    # Large tensors on pages of 2 MB, where Linux has them: a few per cent less time for fresh memory.
    "THP_MEM_ALLOC_ENABLE": "1",
}
"""What torch reads from the environment when it is loaded; a user's own settings come first."""

for name, value in TORCH_SETTINGS.items():
    if name != "GOMP_SPINCOUNT" or "OMP_WAIT_POLICY" not in os.environ:  # that says the same in other words
        os.environ.setdefault(name, value)
