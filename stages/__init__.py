"""The stages of the pipeline, one script each."""

import os

# Set before torch is loaded. By default its threads spin while they wait for one another; as soon as anything else
# wants a core, a training step on two cores takes ten times longer. Sleeping costs nothing measurable when none does.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
