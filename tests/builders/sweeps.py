"""A sweep whose runs take no time: losses are a formula of the params, seed and share of the steps."""

import math
from pathlib import Path
from typing import Any

import numpy as np

from reprotune.params.sections.finetune import FinetuneParams
from reprotune.sweep.artifact import FOLDER, write_trials
from reprotune.sweep.contracts import DIVERGED, OUT_OF_MEMORY
from reprotune.sweep.definition import Sweep
from reprotune.sweep.measuring import Measured
from reprotune.sweep.search import best, finals, search

ROWS = 40

DEFINITION: dict[str, Any] = {
    "space": {
        "finetune.learning_rate": {"low": 1e-4, "high": 1e-2, "scale": "log"},
        "finetune.epochs": [1, 2, 3],
        "finetune.weight_decay": {"low": 0.0, "high": 0.3},
        "finetune.lora.rank": {"low": 2, "high": 64, "scale": "log"},
    },
    "fixed": {"finetune.method": "lora", "finetune.schedule": "wsd"},
    "trials": 24,
    "rungs": [0.25, 0.5],
    "finalists": 2,
    "fresh_seeds": [1001, 1002, 1003],
}


class Formula:
    """A runner: the loss is lowest at a learning rate of 2e-3 and falls with the share; it notes what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[float, int, int, float]] = []

    def measure(self, params: FinetuneParams, share: float) -> Measured:
        """See `search.Runner`."""
        self.asked.append((params.learning_rate, params.epochs, params.seed, share))
        if params.learning_rate > 8e-3:
            return Measured(failure=DIVERGED, reason="training diverged at step 7")
        if params.lora.rank == 64:
            return Measured(failure=OUT_OF_MEMORY, reason="memory was full")
        steps = 100 * params.epochs
        return Measured(self.loss(params, share), int(share * steps), steps, int(1000 * share * steps), 60 * share)

    @staticmethod
    def loss(params: FinetuneParams, share: float) -> float:
        """The loss of a run: the seed moves it by up to 0.01."""
        bend = 0.3 * math.log10(params.learning_rate / 2e-3) ** 2
        noise = 0.01 * math.sin(params.seed + 100 * params.learning_rate)
        return 0.4 + bend + 0.3 * (1 - share) + 0.1 / params.epochs + noise + 0.05 * (params.method == "full")

    def row_losses(self, params: FinetuneParams) -> np.ndarray:
        """See `search.Runner`."""
        rows = np.arange(ROWS)
        return self.loss(params, 1.0) * (rows % 7 + 1) * (1 + 0.1 * np.sin(rows))

    def drop_weights(self, params: FinetuneParams) -> None:
        """See `search.Runner`."""


def run(sweep: Sweep, runner: Formula | None = None) -> Path:
    """Run a sweep by the formula, and return the folder that was written."""
    runner = runner or Formula()
    trials = search(sweep, runner)
    compared = finals(sweep, runner, best(trials, len(sweep.levels), sweep.definition.finalists))
    ids, tokens = [f"{row:03}" for row in range(ROWS)], np.arange(ROWS) % 7 + 1
    write_trials(FOLDER / sweep.name, sweep, trials, compared, (ids, tokens))
    return FOLDER / sweep.name
