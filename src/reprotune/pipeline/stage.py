"""How a stage of this pipeline runs: all params right before it starts, alone, on inputs that stay as they were."""

import sys
from collections.abc import Callable

from reprotune import console
from reprotune.pipeline.supervision import Inputs, only_process, watch


def run_stage(name: str, main: Callable[[], None]) -> None:
    """Run a stage as `console.run_stage` does, but first check the whole of params.yaml, and in the end its inputs.

    DVC runs the stages whose own section changed, so an edit of `finetune` and `judge` would train for hours before
    `judge` could say that its section is wrong. Whichever stage runs first says so here, whatever the cache holds; no
    other stage, dep or hash is needed for that. It takes a twentieth of a second.
    """

    def supervised() -> None:
        check_params()
        with only_process(name):
            inputs = Inputs.of_running_stage()
            watch(name, inputs)
            main()
            if inputs is not None:
                inputs.check(name)

    console.run_stage(name, supervised)


def check_params() -> None:
    """Raise `UserError` naming every fault in params.yaml."""
    loaded = set(sys.modules)
    from reprotune.params.document import Document  # noqa: PLC0415 - only here, so that no stage imports all sections

    Document.read()
    for module in set(sys.modules) - loaded:
        # The other sections are no code of this stage: an edit of them must not make `scratch.code_fingerprint` discard
        # its progress.
        if module.startswith("reprotune.params."):
            del sys.modules[module]
