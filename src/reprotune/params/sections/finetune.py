"""Section `finetune`."""

import math
from typing import Literal, Self

from pydantic import Field, model_validator

from reprotune.params.schema import MOST_COUNT, Section, Seed


class LoraParams(Section):
    """Low-rank adapters; used with `method: lora`."""

    rank: int = Field(ge=1, le=MOST_COUNT)
    """Rank of the update of each weight matrix."""
    alpha: float = Field(gt=0)
    """The update is scaled by alpha / rank."""
    targets: Literal["all", "attention", "feed_forward"]
    """Which linear layers of each block get an adapter."""
    rank_stabilised: bool
    """Scale by alpha / sqrt(rank) instead (rsLoRA), so that a higher rank does not shrink the update."""
    dora: bool
    """Train the length of each row of a matrix apart from its direction (DoRA): better at low ranks, slower."""
    keep_adapters: bool
    """Also save the adapters alone, in `data/model/adapter`, as the `peft` library reads them."""

    @property
    def scale(self) -> float:
        """The factor of the update."""
        return self.alpha / (math.sqrt(self.rank) if self.rank_stabilised else self.rank)


class FinetuneParams(Section):
    """How the base model is trained on the instruction rows."""

    init: Literal["base", "random"]
    """Start from the base model's weights, or (as a control) from random weights of the same shape."""
    method: Literal["full", "lora"]
    """Train all weights, or only low-rank adapters that are merged on save."""
    lora: LoraParams
    """Adapter shape for `method: lora`."""
    epochs: int = Field(ge=1, le=MOST_COUNT)
    """Passes over the training rows."""
    batch_size: int = Field(ge=1, le=MOST_COUNT)
    """Rows per optimizer step, over all micro-batches and devices."""
    drop_last: bool
    """Leave out the rows of an epoch that do not fill a batch."""
    batching: Literal["static", "dynamic", "bucketed", "packed"]
    """How a batch is laid out: padded to the longest row of all, padded to its own longest row, rows of similar
    length together, or without padding (rows isolated from one another)."""
    micro_batch_tokens: int = Field(ge=1, le=MOST_COUNT)
    """Most tokens (padding included) in one forward pass; larger batches are accumulated. Limits memory use."""
    activation_checkpointing: bool
    """Recompute activations in the backward pass instead of keeping them: less memory, about a third more time."""
    compile: Literal["auto", "always", "never"]
    """Compile the network's layers (torch.compile). `auto`: on a GPU, if the run is long enough to make up for it."""
    mask_instruction: bool
    """Learn from the response only (true) or from prompt and response (false, the chapter's way)."""
    learning_rate: float = Field(gt=0)
    """Peak learning rate of AdamW."""
    schedule: Literal["constant", "cosine", "wsd"]
    """Learning rate after the warm-up: constant, a cosine down to `min_learning_rate`, or (`wsd`, for warm-up, stable,
    decay) constant and then a straight line down to it."""
    warmup_fraction: float = Field(ge=0, le=1)
    """Share of all steps over which the learning rate rises linearly from near zero."""
    min_learning_rate: float = Field(ge=0)
    """Learning rate at the end of the cosine or of the decay."""
    decay_fraction: float = Field(gt=0, le=1)
    """Share of all steps over which `schedule: wsd` lowers the learning rate, at the end."""
    weight_decay: float = Field(ge=0)
    """AdamW's decoupled weight decay."""
    decay_all: bool
    """Decay biases, norms and embeddings too (the chapter's way) and not only the weight matrices."""
    beta1: float = Field(ge=0, lt=1)
    """AdamW's decay rate of the mean gradient."""
    beta2: float = Field(ge=0, lt=1)
    """AdamW's decay rate of the mean squared gradient."""
    grad_clip: float | None = Field(gt=0)
    """Largest norm of the gradient; null: not clipped."""
    eval_every: int | None = Field(ge=1, le=MOST_COUNT)
    """Steps between validations; null: once an epoch. Each uses the whole validation set."""
    early_stopping_patience: int | None = Field(ge=1, le=MOST_COUNT)
    """Stop after this many validations without a new best; null: never."""
    precision: Literal["auto", "fp32", "bf16"]
    """Arithmetic of matrix products; weights stay float32. `auto`: bf16 where the hardware is fast at it."""
    saved_precision: Literal["fp32", "base"]
    """Number format of the weights in `data/model`. `base`: that of the base model's file, so that bfloat16 stays
    bfloat16; answers and scores are those of the saved weights."""
    seed: Seed
    """Seed of the row order, of random initial weights and of adapters."""

    @model_validator(mode="after")
    def _warm_up_and_decay_fit(self) -> Self:
        if self.schedule == "wsd" and self.warmup_fraction + self.decay_fraction > 1:
            raise ValueError(
                f"warmup_fraction {self.warmup_fraction:g} and decay_fraction {self.decay_fraction:g} add up to more "
                "than all steps: lower one of them"
            )
        return self
