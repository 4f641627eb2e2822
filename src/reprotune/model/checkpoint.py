"""The weight files of a Hugging Face folder: which they are, which tensors they hold, whether these fit the config.

Only safetensors are read, never pickles (.bin, .pt, .h5). Checking reads headers alone and does not import torch.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from safetensors import SafetensorError, safe_open

from reprotune.errors import UserError
from reprotune.model.config import GPT2Config, read_json_object

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
WEIGHTS_INDEX = "model.safetensors.index.json"

PREFIX = "transformer."
HEAD = "lm_head.weight"
MASK_BUFFER = re.compile(r"h\.\d+\.attn\.(masked_)?bias")
"""Older files also store the causal mask of each layer; it is no weight."""

DTYPES = ("F32", "F16", "BF16")
SHOWN_TENSORS = 3

Shape = tuple[int, ...]


class StoredTensor(NamedTuple):
    """A tensor in an open file; nothing but the header has been read."""

    file: Any
    key: str

    @property
    def shape(self) -> Shape:
        """Its shape, from the header."""
        return tuple(self.file.get_slice(self.key).get_shape())

    @property
    def dtype(self) -> str:
        """Its number format as safetensors calls it, e.g. `BF16`."""
        return str(self.file.get_slice(self.key).get_dtype())

    def read(self) -> Any:
        """Read it, as a tensor of the framework that the file was opened for."""
        return self.file.get_tensor(self.key)


def weight_files(folder: Path) -> list[str]:
    """Return the names of the weight files, an index first; raises `UserError` where there are none to be trusted."""
    if (folder / WEIGHTS).is_file():
        return [WEIGHTS]
    index = folder / WEIGHTS_INDEX
    if not index.is_file():
        raise UserError(
            f"{folder} has no {WEIGHTS}: Reprotune reads no pickled weights, so save the model again with "
            "`save_pretrained(folder, safe_serialization=True)` of transformers"
        )
    weight_map = read_json_object(index).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise UserError(f"{index} has no weight_map: save the model again with transformers")
    shards = sorted({str(name) for name in weight_map.values()})
    for shard in shards:
        if Path(shard).name != shard or "\\" in shard or not shard.endswith(".safetensors"):
            raise UserError(f"{index} names {shard!r}, which is not a .safetensors file of the folder")
    return [WEIGHTS_INDEX, *shards]


@contextmanager
def opened_tensors(paths: list[Path], framework: str = "numpy") -> Iterator[dict[str, StoredTensor]]:
    """Yield the tensors of safetensors files by their name on the hub, without prefixes and mask buffers.

    Raises `UserError` on a damaged file and on a tensor that is not floating point. The library checks that a file is
    as long as its header says.
    """
    tensors: dict[str, StoredTensor] = {}
    with ExitStack() as opened:
        for path in paths:
            try:
                file = opened.enter_context(safe_open(path, framework=framework))
            except (SafetensorError, OSError) as error:
                raise UserError(
                    f"{path} is not a complete safetensors file ({error}): fetch it again (a Git LFS pointer is not "
                    "the file)"
                ) from error
            for key in file.keys():  # noqa: SIM118 - not a dictionary: it has no iterator of its own
                tensor, name = StoredTensor(file, key), key.removeprefix(PREFIX)
                if MASK_BUFFER.fullmatch(name):
                    continue
                if tensor.dtype not in DTYPES:
                    raise UserError(
                        f"{path}: tensor {key!r} is {tensor.dtype}, but weights should be one of {', '.join(DTYPES)}: "
                        "save the model again in one of them"
                    )
                tensors[name] = tensor
        yield tensors


def check_tensors(tensors: Mapping[str, StoredTensor], config: GPT2Config, where: Path) -> None:
    """Raise `UserError` unless the tensors are those that `config` implies; newer files also hold the tied head."""
    expected = dict(_expected_shapes(config))
    for name, shape in expected.items():
        found = tensors[name].shape if name in tensors else None
        if found != shape:
            has = "missing" if found is None else f"of shape {list(found)}"
            raise UserError(
                f"{where}: tensor {name} is {has}, but {CONFIG} implies {list(shape)}: the two files do not belong "
                "together"
            )
    strange = sorted(tensors.keys() - expected.keys() - {HEAD})
    if strange:
        raise UserError(
            f"{where} holds tensors that a GPT-2 language model does not have ({', '.join(strange[:SHOWN_TENSORS])}): "
            "choose another model"
        )


def _expected_shapes(config: GPT2Config) -> Iterator[tuple[str, Shape]]:
    """Yield the name and shape of every weight; GPT-2's Conv1D stores matrices as [inputs, outputs]."""
    width, inner = config.n_embd, 4 * config.n_embd
    matrices = {
        "attn.c_attn": (width, 3 * width),
        "attn.c_proj": (width, width),
        "mlp.c_fc": (width, inner),
        "mlp.c_proj": (inner, width),
    }
    yield "wte.weight", (config.vocab_size, width)
    yield "wpe.weight", (config.n_positions, width)
    for norm in ["ln_f", *(f"h.{layer}.{norm}" for layer in range(config.n_layer) for norm in ("ln_1", "ln_2"))]:
        yield f"{norm}.weight", (width,)
        yield f"{norm}.bias", (width,)
    for layer in range(config.n_layer):
        for name, shape in matrices.items():
            yield f"h.{layer}.{name}.weight", shape
            yield f"h.{layer}.{name}.bias", shape[1:]
