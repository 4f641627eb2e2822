"""What a decoder-only transformer is made of: its sizes, and one choice for each part in which families differ."""

from dataclasses import dataclass
from typing import Literal

GPT2_VOCABULARY = 50257


@dataclass(frozen=True)
class Llama3Scaling:
    """How Llama 3.1 and later stretch rotary positions beyond the context they were first trained on.

    Waves longer than `original_positions / low` are slowed by `factor`, those shorter than `original_positions / high`
    are kept, and those between are blended ("The Llama 3 Herd of Models", arXiv:2407.21783, and the released code).
    """

    factor: float
    low: float
    high: float
    original_positions: int


@dataclass(frozen=True)
class Rotary:
    """Rotary positions (Su et al. 2021, arXiv:2104.09864): the wave of dimension pair i has frequency theta^(-2i/D)."""

    theta: float
    scaling: Llama3Scaling | None = None


@dataclass(frozen=True)
class ModelConfig:
    """The sizes and choices of one network; the defaults are GPT-2's.

    Raises ValueError where sizes do not fit together.
    """

    n_layer: int
    n_head: int
    n_embd: int
    n_positions: int = 1024
    vocab_size: int = GPT2_VOCABULARY
    n_kv_head: int = 0
    """Heads of keys and values, each read by `n_head / n_kv_head` heads of queries; 0: as many as `n_head`."""
    head_size: int = 0
    """Width of one head; 0: `n_embd / n_head`."""
    n_inner: int = 0
    """Width inside the feed-forward network; 0: `4 n_embd`."""
    norm: Literal["layer", "rms"] = "layer"
    norm_eps: float = 1e-5
    rotary: Rotary | None = None
    """None: a learned embedding for each position."""
    gated: bool = False
    """A SwiGLU feed-forward network (Shazeer 2020, arXiv:2002.05202) in place of GELU's."""
    qkv_bias: bool = True
    out_bias: bool = True
    """Of the attention's output projection."""
    mlp_bias: bool = True
    qk_norm: bool = False
    """Normalise each head's queries and keys before they are rotated."""
    tied: bool = True
    """The output head is the token embedding."""
    family: str = "gpt2"
    """The `model_type` of its config.json, a key of `reprotune.model.families.FAMILIES`."""
    begin_of_text: int | None = GPT2_VOCABULARY - 1
    end_of_text: tuple[int, ...] = (GPT2_VOCABULARY - 1,)
    """What config.json names as the ends of a text; kept for the config.json of the tuned model."""

    def __post_init__(self) -> None:
        derived = {
            "n_kv_head": self.n_kv_head or self.n_head,
            "head_size": self.head_size or self.n_embd // self.n_head,
            "n_inner": self.n_inner or 4 * self.n_embd,
        }
        for name, value in derived.items():
            object.__setattr__(self, name, value)
        if self.n_head % self.n_kv_head:
            raise ValueError(f"{self.n_head} heads cannot share {self.n_kv_head} heads of keys and values evenly")
        if self.rotary is not None and self.head_size % 2:
            raise ValueError(f"rotary positions need heads of an even width, not {self.head_size}")

    @property
    def qkv_widths(self) -> tuple[int, int, int]:
        """Widths of queries, keys and values, all heads together."""
        return self.n_head * self.head_size, self.n_kv_head * self.head_size, self.n_kv_head * self.head_size

    @property
    def inner_widths(self) -> tuple[int, ...]:
        """Widths of what the first feed-forward layer makes: gate and values, or values alone."""
        return (self.n_inner, self.n_inner) if self.gated else (self.n_inner,)

    def training_flops_per_token(self, context: float = 0) -> float:
        """Floating-point operations of forward and backward per token: 6 per weight of a matrix product, head included.

        `context` is the mean number of earlier tokens that a token attends to; attention adds 12 per layer, width and
        such token (the PaLM paper, appendix B, arXiv:2204.02311, for causal attention).
        """
        attended = self.n_head * self.head_size
        layer = self.n_embd * (sum(self.qkv_widths) + attended + sum(self.inner_widths) + self.n_inner)
        weights = self.n_layer * layer + self.vocab_size * self.n_embd
        return 6.0 * weights + 12 * self.n_layer * attended * context


GPT2_SIZES = {
    "gpt2": ModelConfig(n_layer=12, n_head=12, n_embd=768),
    "gpt2-medium": ModelConfig(n_layer=24, n_head=16, n_embd=1024),
    "gpt2-large": ModelConfig(n_layer=36, n_head=20, n_embd=1280),
    "gpt2-xl": ModelConfig(n_layer=48, n_head=25, n_embd=1600),
}
