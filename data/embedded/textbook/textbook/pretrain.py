"""Stage `pretrain`: build/tokens -> build/base, in Hugging Face layout with the loss curve beside it."""

import csv
import time
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from reprotune.artifacts import replaced_directory, write_json
from reprotune.console import note, run_stage
from reprotune.dataset.tokenizers.gpt2_files import save_tokenizer_files
from reprotune.model.config import ModelConfig
from reprotune.model.network import Network
from reprotune.model.weights import save_model
from reprotune.scratch import fingerprint, scratch_directory
from reprotune.training.checkpoint import CheckpointStore, LossRecord, Progress
from textbook.network import compact, compact_loss, compact_network, expand, used_ids
from textbook.recipe import NetworkParams, PretrainParams

TOKENS = Path("build/tokens")
BASE = Path("build/base")
CLIP_NORM = 1.0
MOMENTUM = 0.95
BETAS = (0.9, 0.95)


class Pair:
    """Muon for the matrices of the blocks, AdamW for everything else.

    Muon (K. Jordan et al., 2024) gives all directions of a matrix's update the same size, so rare facts are
    learned as fast as frequent patterns: it needs a fraction of AdamW's tellings per fact here (see LOG.md).
    """

    def __init__(self, network: Network, params: PretrainParams) -> None:
        matrices = [p for name, p in network.named_parameters() if name.startswith("blocks.") and p.ndim == 2]
        chosen = {id(p) for p in matrices}
        others = [p for p in network.parameters() if id(p) not in chosen]
        muon = torch.optim.Muon(
            matrices,
            lr=params.matrix_learning_rate,
            momentum=MOMENTUM,
            weight_decay=params.weight_decay,
            adjust_lr_fn="match_rms_adamw",
        )
        adam = torch.optim.AdamW(others, lr=params.learning_rate, betas=BETAS, weight_decay=0.0, fused=True)
        self.peaks = [(muon, params.matrix_learning_rate), (adam, params.learning_rate)]

    @property
    def state(self) -> dict[Tensor, dict[str, Tensor]]:
        """The state of each parameter, as an optimizer has it; the inner dictionaries are the optimizers' own."""
        return {
            parameter: optimizer.state[parameter]
            for optimizer, _ in self.peaks
            for group in optimizer.param_groups
            for parameter in group["params"]
        }

    def step(self, factor: float) -> None:
        """Update all parameters at `factor` times the peak learning rates, and drop the gradients."""
        for optimizer, peak in self.peaks:
            for group in optimizer.param_groups:
                group["lr"] = peak * factor
            optimizer.step()
            optimizer.zero_grad()


def rate_factor(step: int, total_steps: int, params: PretrainParams) -> float:
    """Return the share of the peak learning rate at `step` (from 0): a rise, a plateau, a straight fall to zero."""
    rise = (step + 1) / params.warmup_steps
    fall = (total_steps - step) / params.cooldown_steps
    return min(1.0, rise, fall)


def batch(tokens: Tensor, step: int, params: PretrainParams) -> Tensor:
    """Return the blocks of a step, [batch_blocks, block_tokens + 1]; neighbours share the token between them."""
    size, count = params.block_tokens, params.batch_blocks
    starts = [(step * count + row) * size for row in range(count)]
    return torch.stack([tokens[start : start + size + 1] for start in starts])


def positions(step: int, n_positions: int, params: PretrainParams) -> Tensor:
    """Return positions [batch_blocks, block_tokens]: half the blocks begin at 0, half somewhere, so all are trained."""
    generator = torch.Generator().manual_seed(params.seed * 1_000_003 + step)
    room = n_positions - params.block_tokens + 1
    starts = torch.randint(room, (params.batch_blocks, 1), generator=generator)
    starts[::2] = 0
    return starts + torch.arange(params.block_tokens)


@torch.no_grad()
def mean_loss(network: Network, tokens: Tensor, params: PretrainParams) -> float:
    """Return the mean loss over the whole batches of a text, in nats per token of the full vocabulary."""
    steps = (len(tokens) - 1) // (params.block_tokens * params.batch_blocks)
    losses = []
    for step in range(steps):
        blocks = batch(tokens, step, params)
        with torch.autocast("cpu", torch.bfloat16):
            losses.append(compact_loss(network, network(blocks[:, :-1]), blocks[:, 1:]).item())
    return sum(losses) / len(losses)


def backward(network: Network, blocks: Tensor, where: Tensor, rank: int, params: PretrainParams) -> float:
    """Leave the gradients of the whole batch in the network, each process having done its rows; return the loss.

    Processes with one thread each wait for one another once a step, threads of one process after each operation:
    on two busy cores processes are more than twice as fast.
    """
    mine = slice(rank, None, params.processes)
    with torch.autocast("cpu", torch.bfloat16):
        loss = compact_loss(network, network(blocks[mine, :-1], where[mine]), blocks[mine, 1:])
    loss.backward()
    gradients = [p.grad for p in network.parameters() if p.grad is not None]
    flat = torch.cat([gradient.flatten() for gradient in gradients] + [loss.detach()[None]]) / params.processes
    if params.processes > 1:
        dist.all_reduce(flat)
    for gradient, mean in zip(gradients, flat[:-1].split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(mean.view_as(gradient))
    return flat[-1].item()


def pretrain(
    network: Network, train: Tensor, held_out: Tensor, params: PretrainParams, store: CheckpointStore, rank: int = 0
) -> Progress:
    """Train `network` once through `train`, from the last checkpoint on if there is one.

    All processes (`rank` 0, 1, ...) hold the same weights at every step; the first one measures and saves.
    """
    optimizer = Pair(network, params)
    step_tokens = params.block_tokens * params.batch_blocks
    total_steps = (len(train) - 1) // step_tokens
    progress = store.restore(network, cast(torch.optim.Optimizer, optimizer))
    started = time.perf_counter() - progress.seconds
    while progress.step < total_steps:
        where = positions(progress.step, network.config.n_positions, params)
        loss = backward(network, batch(train, progress.step, params), where, rank, params)
        torch.nn.utils.clip_grad_norm_(network.parameters(), CLIP_NORM)
        factor = rate_factor(progress.step, total_steps, params)
        optimizer.step(factor)
        progress.step += 1
        progress.tokens_seen += step_tokens
        if rank == 0 and (progress.step % params.eval_every == 0 or progress.step == total_steps):
            progress.seconds = time.perf_counter() - started
            record = LossRecord(
                progress.step, progress.step / total_steps, progress.tokens_seen, factor * params.learning_rate
            )
            record.train_loss, record.validation_loss = loss, mean_loss(network, held_out, params)
            progress.history.append(record)
            store.save(progress, network, cast(torch.optim.Optimizer, optimizer))
            note(
                f"step {progress.step}/{total_steps}  train {loss:.3f}  held-out {record.validation_loss:.3f}  "
                f"{progress.tokens_seen / progress.seconds:.0f} tokens/s"
            )
    return progress


def work(rank: int, meeting_point: str) -> None:
    """Train in one of the processes; the first saves the base model."""
    shape, params = NetworkParams.load("network"), PretrainParams.load("pretrain")
    torch.set_num_threads(1)
    if params.processes > 1:
        dist.init_process_group("gloo", f"file://{meeting_point}", rank=rank, world_size=params.processes)
    tokens = {name: np.load(TOKENS / f"{name}.npy", allow_pickle=False) for name in ("train", "held_out")}
    used = used_ids(np.concatenate(list(tokens.values())))
    train, held_out = compact(tokens["train"], used), compact(tokens["held_out"], used)
    generator = torch.Generator().manual_seed(params.seed)
    network = compact_network(ModelConfig(**shape.model_dump()), len(used), generator)
    key = fingerprint([shape.model_dump(), params.model_dump()], [TOKENS / "train.npy"])
    store = CheckpointStore(scratch_directory("pretrain", key), torch.device("cpu"))
    progress = pretrain(network, train, held_out, params, store, rank)
    if rank == 0:
        save(expand(network, used, generator), progress, len(used))
        store.clear()


def save(network: Network, progress: Progress, used: int) -> None:
    """Write build/base."""
    with replaced_directory(BASE) as folder:
        save_model(network, folder, torch.bfloat16)
        save_tokenizer_files(folder)
        write_loss_curve(folder / "pretraining.csv", progress)
        figures = {
            "held_out_loss": progress.history[-1].validation_loss,
            "steps": progress.step,
            "tokens_seen": progress.tokens_seen,
            "used_ids": used,
        }
        write_json(folder / "pretraining.json", figures)


def main() -> None:
    """Train on the encoded textbook and save the base model."""
    processes = PretrainParams.load("pretrain").processes
    with TemporaryDirectory() as folder:
        meeting_point = str(Path(folder) / "meeting-point")
        if processes == 1:
            work(0, meeting_point)
        else:
            torch.multiprocessing.spawn(work, (meeting_point,), processes)


def write_loss_curve(path: Path, progress: Progress) -> None:
    """Write one line per measurement."""
    columns = ["step", "tokens_seen", "learning_rate", "train_loss", "validation_loss"]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(record) for record in progress.history)


if __name__ == "__main__":
    run_stage("pretrain", main)
