"""The stages of the pipeline, one script each."""

import os

TORCH_SETTINGS = {
    # By default torch's threads spin while they wait for one another; as soon as anything else wants a core, a training
    # step on two cores takes ten times longer. Sleeping costs nothing measurable when none does.
    "OMP_WAIT_POLICY": "PASSIVE",
    # Large tensors on pages of 2 MB, where Linux has them: a few per cent less time for fresh memory.
    "THP_MEM_ALLOC_ENABLE": "1",
}
"""What torch reads from the environment when it is loaded; a user's own settings come first."""

for name, value in TORCH_SETTINGS.items():
    os.environ.setdefault(name, value)
