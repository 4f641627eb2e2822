"""TRL's ways of batching and computing that are worth a try; apart from the contender, which imports TRL."""

from typing import Any

VARIANTS: dict[str, dict[str, Any]] = {
    "bf16": {"bf16": True},
    "bf16 by length": {"bf16": True, "train_sampling_strategy": "group_by_length"},
    "bf16 padding-free": {"bf16": True, "padding_free": True, "max_length": None},
    "bf16 chunked loss": {"bf16": True, "loss_type": "chunked_nll"},
    "bf16 packed": {"bf16": True, "packing": True, "max_length": 512},
    "bf16 compiled": {"bf16": True, "torch_compile": True},
    "float32": {"bf16": False},
    "float32 chunked loss": {"bf16": False, "loss_type": "chunked_nll"},
    "float32 padding-free": {"bf16": False, "padding_free": True, "max_length": None},
}
"""Gradient checkpointing, on by default and slower, is off in all. `packed` fills sequences of 512 tokens, about as
many as eight rows have, and so trains on other batches; all others but `by length` take exactly the given ones."""
