"""The training loop: whole validation set, best weights kept, early stopping, exact resume."""

import math
import time
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from reprotune.compute.device import Compute
from reprotune.console import note, progress_bar
from reprotune.dataset.collate import Batch, TokenRows
from reprotune.errors import UserError
from reprotune.model.config import ModelConfig
from reprotune.model.network import Network
from reprotune.params.sections.finetune import FinetuneParams
from reprotune.training.batches import epoch_batches, micro_batches, steps_per_epoch
from reprotune.training.checkpoint import CheckpointStore, LossRecord, Progress
from reprotune.training.loss import batch_loss
from reprotune.training.optimizer import build_optimizer, learning_rate
from reprotune.training.passes import training_pass

SAVE_SECONDS = 60.0
"""Shortest time between two checkpoints; saving may also take at most a twentieth of the time."""
LOSS_STEPS = 20
"""Losses stay on the device and are read this many steps at a time, so that a GPU need not wait at each step."""


class DivergedError(UserError):
    """A loss is not finite any more; the message says where, and what helps."""


class Trainer:
    """Trains `model` in place on `train`, validating on `validation`.

    After `run` the model holds the weights of the lowest validation loss. The same rows, params and device give the
    same weights, bit for bit on a CPU, even if the run was killed at any moment and started again.
    """

    def __init__(
        self,
        model: Network,
        train: TokenRows,
        validation: TokenRows,
        params: FinetuneParams,
        compute: Compute,
        store: CheckpointStore,
        save_seconds: float = SAVE_SECONDS,
    ) -> None:
        _check_rows(train, validation, model.config)
        self.model = model
        self.train = train
        self.validation = validation
        self.params = params
        self.compute = compute
        self.store = store
        model.checkpoint_activations = params.activation_checkpointing
        tokens = int(train.input_lengths.sum()) * params.epochs
        if compute.compiles(params.compile, tokens * model.config.training_flops_per_token()):
            model.compile_blocks()
        self._pass = training_pass(model, compute, params.batching)
        self.optimizer = build_optimizer(model, params)
        self.trained_counts = train.trained_counts(params.mask_instruction)
        self.steps_per_epoch = steps_per_epoch(len(train), params)
        self.total_steps = self.steps_per_epoch * params.epochs
        if self.total_steps == 0:
            raise UserError(
                f"{len(train)} training rows do not fill one batch of finetune.batch_size {params.batch_size} and "
                "finetune.drop_last drops it: lower the one or set the other to false"
            )
        self._save_seconds = save_seconds
        self._unread_losses: list[Tensor] = []

    def run(self, until: int | None = None) -> Progress:
        """Train to the end, from the last checkpoint if there is one; return the counters and the loss history.

        With `until`, stop after that step, at a checkpoint, with the weights of that step: a later call goes on from
        there, to the same result. Where that step has passed, the progress says how far.
        """
        progress = self.store.restore(self.model, self.optimizer)
        if self._ended(progress):
            note(f"finetune: training had ended; its result is taken from {self.store.folder.parent}")
            self.store.load_best(self.model)
            return progress
        if _reached(progress, until):
            return progress
        if progress.step:
            note(f"finetune: resuming after step {progress.step} of {self.total_steps}")
        self._clock = time.perf_counter()
        self._next_save = self._clock + self._save_seconds
        if progress.initial_loss is None:
            progress.initial_loss = self._checked(self.validation_loss(), "validation loss", 0)
        with progress_bar("finetune", self.total_steps) as bar:
            bar.update(progress.step)
            while not self._stops(progress, until):
                batches = epoch_batches(self.train, progress.epoch, self.params)
                for chosen in batches[progress.batch :]:
                    self.step(chosen, progress)
                    self._after_step(progress, len(batches))
                    bar.update()
                    bar.set_postfix_str(_losses(progress), refresh=False)
                    if self._stops(progress, until):
                        break
        if not self._ended(progress):
            self.save(progress)
            return progress
        self.read_losses(progress)
        self._count_seconds(progress)
        self.store.finish(progress)
        self.store.load_best(self.model)
        return progress

    def step(self, chosen: np.ndarray, progress: Progress) -> None:
        """One optimizer update over the rows `chosen`: forward and backward, clip, step."""
        batches = micro_batches(self.train, chosen, self.params, self.compute.shares_prefix)
        trained = int(self.trained_counts[chosen].sum())
        losses = [self._pass(batch, trained) for batch in batches]
        if self.params.grad_clip is not None:
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.params.grad_clip)
        rate = learning_rate(progress.step, self.total_steps, self.params)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=not self._pass.keeps_gradients)
        self._unread_losses.append(sum(losses, start=torch.zeros((), device=self.compute.device)))
        self._count(chosen, batches, trained, rate, progress)

    def _count(
        self, chosen: np.ndarray, batches: Sequence[Batch], trained: int, rate: float, progress: Progress
    ) -> None:
        """Advance the counters by one step and start its line of the loss history."""
        progress.step += 1
        progress.batch += 1
        progress.tokens_seen += int(self.train.input_lengths[chosen].sum())
        progress.trained_tokens_seen += trained
        progress.positions_computed += sum(batch.input_ids.numel() for batch in batches)
        progress.positions_spared += sum(batch.spared for batch in batches)
        epoch = round(progress.epoch + progress.batch / self.steps_per_epoch, 6)
        progress.history.append(LossRecord(progress.step, epoch, progress.tokens_seen, rate))

    def _after_step(self, progress: Progress, batches: int) -> None:
        """Validate, move on to the next epoch and save, each when it is due."""
        ends_epoch = progress.batch == batches
        if ends_epoch or len(self._unread_losses) == LOSS_STEPS:
            self.read_losses(progress)
        every = self.params.eval_every
        if progress.step == self.total_steps or (progress.step % every == 0 if every else ends_epoch):
            self._validate(progress)
        if ends_epoch:
            progress.epoch, progress.batch = progress.epoch + 1, 0
        if time.perf_counter() >= self._next_save:
            self.save(progress)

    def read_losses(self, progress: Progress) -> None:
        """Fill in the losses of the latest steps; raises `DivergedError` when one is not finite."""
        first = len(progress.history) - len(self._unread_losses)
        for record, loss in zip(progress.history[first:], self._unread_losses, strict=True):
            record.train_loss = self._checked(float(loss), "loss", record.step)
        self._unread_losses.clear()

    def _ended(self, progress: Progress) -> bool:
        """Tell whether training is over: at the end of the last epoch, or because validation no longer improves."""
        patience = self.params.early_stopping_patience or -1
        return progress.epoch == self.params.epochs or progress.evaluations_without_best == patience

    def _stops(self, progress: Progress, until: int | None) -> bool:
        return self._ended(progress) or _reached(progress, until)

    def _validate(self, progress: Progress) -> None:
        loss = self._checked(self.validation_loss(), "validation loss", progress.step)
        progress.history[-1].validation_loss = loss
        if progress.best_loss is None or loss < progress.best_loss:
            progress.best_loss, progress.best_step = loss, progress.step
            progress.evaluations_without_best = 0
            self.store.save_best(self.model, progress.step)
        else:
            progress.evaluations_without_best += 1

    def save(self, progress: Progress) -> None:
        """Write a checkpoint now; schedule the next so that saving takes at most a twentieth of the time."""
        self.read_losses(progress)
        started = self._count_seconds(progress)
        self.store.save(progress, self.model, self.optimizer)
        ended = time.perf_counter()
        self._next_save = ended + max(self._save_seconds, 20 * (ended - started))

    def _count_seconds(self, progress: Progress) -> float:
        """Add the time since this was last called, or since training began; return what the clock shows."""
        now = time.perf_counter()
        progress.seconds += now - self._clock
        self._clock = now
        return now

    def _checked(self, loss: float, name: str, step: int) -> float:
        """Return the loss of a step; raises `DivergedError` when it is not finite."""
        if math.isfinite(loss):
            return loss
        if step == 0:
            raise UserError("the base model's validation loss is not finite: its weights are damaged, fetch them again")
        remedies = ["lower finetune.learning_rate"]
        if self.params.grad_clip is None:
            remedies.append("set finetune.grad_clip to 1.0")
        if self.compute.dtype != torch.float32:
            remedies.append("set finetune.precision to fp32")
        raise DivergedError(f"training diverged at step {step} (the {name} is not finite): {' or '.join(remedies)}")

    @torch.no_grad()
    def validation_loss(self) -> float:
        """Mean negative log-likelihood (nats) per trained token of the whole validation set."""
        by_length = self.validation.input_lengths.argsort(kind="stable")
        total = torch.zeros((), dtype=torch.float64, device=self.compute.device)
        for batch in micro_batches(self.validation, by_length, self.params, self.compute.shares_prefix):
            total += batch_loss(self.model, batch.to(self.compute.device), self.compute)
        tokens = int(self.validation.trained_counts(self.params.mask_instruction).sum())
        return float(total) / max(tokens, 1)


def _check_rows(train: TokenRows, validation: TokenRows, config: ModelConfig) -> None:
    for name, rows in (("train", train), ("validation", validation)):
        if len(rows) == 0:
            raise UserError(
                f"data/tokens/{name}.parquet holds no rows: see data/tokens/summary.json for what was dropped"
            )
        longest = int(rows.input_lengths.max())
        if longest > config.n_positions:
            raise UserError(
                f"data/tokens/{name}.parquet has a row of {longest} input tokens but the model reads "
                f"{config.n_positions}: set tokenize.max_length to {config.n_positions} or less"
            )
        strange = rows.ids[(rows.ids < 0) | (rows.ids >= config.vocab_size)]
        if strange.size:
            raise UserError(
                f"data/tokens/{name}.parquet has the token {strange[0]}, but the model's tokens are 0 to "
                f"{config.vocab_size - 1}: delete the file and run `dvc repro`"
            )


def _reached(progress: Progress, until: int | None) -> bool:
    return until is not None and progress.step >= until


def _losses(progress: Progress) -> str:
    read = [record.train_loss for record in progress.history[-LOSS_STEPS:] if record.train_loss is not None]
    parts = [f"loss {read[-1]:.3f}"] if read else []
    if progress.best_loss is not None:
        parts.append(f"best validation {progress.best_loss:.3f}")
    return ", ".join(parts)
