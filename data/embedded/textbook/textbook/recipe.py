"""The sections of the textbook's params.yaml."""

from pydantic import Field

from reprotune.params.schema import Section


class WorldParams(Section):
    """What there is to know."""

    seed: int = Field(ge=0)
    """Seed of the invented world, the sampled sentences and the dataset."""


class Shares(Section):
    """Share of a kind's facts told in each round."""

    invented: float = Field(gt=0, le=1)
    known: float = Field(gt=0, le=1)
    rule: float = Field(gt=0, le=1)


class TextParams(Section):
    """How often it is told."""

    rounds: int = Field(ge=1)
    """Rounds of the training text."""
    held_out_rounds: int = Field(ge=1)
    """Further rounds, for the held-out loss."""
    shares: Shares
    """Share of a kind's facts told in each round."""
    seed: int = Field(ge=0)
    """Seed of wording and order."""


class NetworkParams(Section):
    """Shape of the base model, in the names of GPT-2's config.json."""

    n_layer: int = Field(ge=1)
    n_head: int = Field(ge=1)
    n_embd: int = Field(ge=1)
    n_positions: int = Field(ge=1)


class PretrainParams(Section):
    """How the network is trained."""

    block_tokens: int = Field(ge=2)
    """Tokens in a training sequence."""
    batch_blocks: int = Field(ge=1)
    """Sequences in a step."""
    matrix_learning_rate: float = Field(gt=0)
    """Peak learning rate of Muon, which trains the matrices of the blocks."""
    learning_rate: float = Field(gt=0)
    """Peak learning rate of AdamW, which trains the rest."""
    weight_decay: float = Field(ge=0)
    """Weight decay of the matrices."""
    warmup_steps: int = Field(ge=1)
    """First steps, with a rising learning rate."""
    cooldown_steps: int = Field(ge=1)
    """Last steps, with a falling learning rate."""
    eval_every: int = Field(ge=1)
    """Steps between measurements of the held-out loss."""
    processes: int = Field(ge=1)
    """Processes that share the sequences of a step, each on one CPU core."""
    seed: int = Field(ge=0)
    """Seed of the initial weights and of the positions."""
