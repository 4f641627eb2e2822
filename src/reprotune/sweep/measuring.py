"""One run of a trial, measured: how far it got, its loss, or why it has none; and the losses of its rows.

Runs are those of `reprotune.runs.trial`: kept under a hash of what decides them, so that none is made twice, and exact:
a run that was stopped at a rung goes on from it as if it had never stopped.
"""

import gc
import math
import time
from dataclasses import asdict, dataclass

import numpy as np
import torch

from reprotune.artifacts import TOKENS, TOKENS_TURNS, read_table, schema_of, write_json
from reprotune.compute.device import pick_compute
from reprotune.dataset.collate import TokenRows
from reprotune.errors import UserError
from reprotune.faults import OUT_OF_MEMORY as MEMORY_WORDS
from reprotune.files import read_json
from reprotune.model.weights import load_model
from reprotune.params.sections.finetune import FinetuneParams
from reprotune.runs.keys import run_key
from reprotune.runs.trial import INPUTS, Inputs, Trained, drop_model, train
from reprotune.scratch import scratch_directory
from reprotune.sweep.contracts import DIVERGED, OUT_OF_MEMORY, REFUSED
from reprotune.training.batches import steps_per_epoch
from reprotune.training.loop import DivergedError
from reprotune.training.row_losses import row_losses

LITTLE_MEMORY = "memory was full: lower finetune.micro_batch_tokens, or set finetune.activation_checkpointing to true"
ROUNDING = 1e-9
"""Keeps 0.3 * 10 = 3.0000000000000004 steps, and their like, from becoming another number of steps."""


@dataclass(frozen=True)
class Measured:
    """What a run has come to; all but `seconds` null where it failed."""

    loss: float | None = None
    """Nats per trained token of the validation set."""
    step: int | None = None
    steps: int | None = None
    tokens: int | None = None
    """Tokens read by then."""
    seconds: float = 0.0
    """Since the run's first step."""
    failure: str | None = None
    """`DIVERGED`, `OUT_OF_MEMORY` or `REFUSED`; null where it did not fail."""
    reason: str | None = None


class Runs:
    """Makes the runs of a sweep on the artifacts of the pipeline."""

    def __init__(self, inputs: Inputs = INPUTS) -> None:
        self._inputs = inputs
        self._train_rows = len(TokenRows.read(inputs.train))

    def measure(self, params: FinetuneParams, share: float) -> Measured:
        """Train up to a share of the steps, 1 being the end, and return what there is to know.

        Where a run has diverged before that, it is known to do so ever after; one for which memory did not suffice is
        tried again the next time. Any other fault ends the sweep.
        """
        steps = steps_per_epoch(self._train_rows, params) * params.epochs
        if steps == 0:
            return Measured(
                failure=REFUSED,
                reason=f"{self._train_rows} training rows do not fill one batch of finetune.batch_size "
                f"{params.batch_size}, and finetune.drop_last drops it",
            )
        until = None if share == 1 else max(1, math.floor(share * steps + ROUNDING))
        known = scratch_directory("sweep", "diverged") / f"{self._key(params)}-{until or steps}.json"
        if known.is_file():
            return Measured(**read_json(known, f"delete {known}"))
        began = time.perf_counter()
        try:
            return _measured(train(params, self._inputs, until))
        except DivergedError as error:
            found = Measured(failure=DIVERGED, reason=str(error), seconds=time.perf_counter() - began)
            write_json(known, asdict(found))
        except (MemoryError, RuntimeError) as error:
            if isinstance(error, RuntimeError) and not MEMORY_WORDS.search(str(error)):
                raise
            found = Measured(failure=OUT_OF_MEMORY, reason=LITTLE_MEMORY, seconds=time.perf_counter() - began)
        _free_memory()
        return found

    def row_losses(self, params: FinetuneParams) -> np.ndarray:
        """Return the loss of each row of the validation set, [rows], under a run that has ended; its weights go."""
        trained = train(params, self._inputs)
        key = run_key("reprotune.training.row_losses", trained.key, pick_compute(params.precision), [])
        kept = scratch_directory("sweep", "rows") / f"{key}.json"
        if not kept.is_file():
            trained = train(params, self._inputs, needs_model=True)
            write_json(kept, self._of_rows(params, trained))
        drop_model(trained)
        return np.asarray(read_json(kept, f"delete {kept}"))

    def drop_weights(self, params: FinetuneParams) -> None:
        """Delete the weights of a run that has ended; what was measured stays."""
        drop_model(train(params, self._inputs))

    def validation_rows(self, params: FinetuneParams) -> tuple[list[str], np.ndarray]:
        """Return the ids of the validation rows, and how many tokens of each are trained."""
        path = self._inputs.validation
        ids = read_table(path, schema_of(path, TOKENS, TOKENS_TURNS))["id"].to_pylist()
        return ids, TokenRows.read(path).trained_counts(params.mask_instruction)

    def _key(self, params: FinetuneParams) -> str:
        compute = pick_compute(params.precision)
        return run_key("reprotune.training.run", params.model_dump(), compute, self._inputs.files())

    def _of_rows(self, params: FinetuneParams, trained: Trained) -> list[float]:
        compute = pick_compute(params.precision)
        if trained.model is None:  # `needs_model` makes it
            raise UserError(f"{trained.folder} has lost its weights meanwhile: run it again")
        model = load_model(trained.model, device=compute.device)
        rows = TokenRows.read(self._inputs.validation)
        return [float(loss) for loss in row_losses(model, rows, params.mask_instruction, compute)]


def _measured(trained: Trained) -> Measured:
    return Measured(
        loss=trained.validation_loss,
        step=trained.steps,
        steps=trained.total_steps,
        tokens=trained.history[-1].tokens_seen,
        seconds=trained.seconds,
    )


def _free_memory() -> None:
    """Give back what a failed run had, for the next one."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
