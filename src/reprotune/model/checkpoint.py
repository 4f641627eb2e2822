"""Checkpoints in Hugging Face layout: what config.json says, which tensors there must be, where they are stored.

Only safetensors are read, never pickles (.bin, .pt, .h5). Checking reads headers alone and does not import torch.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from safetensors import SafetensorError, safe_open

from reprotune.errors import UserError
from reprotune.model.config import ModelConfig
from reprotune.model.config_fields import ConfigFields
from reprotune.model.families import FAMILIES, HEAD, Family, Shape, stored_tensors
from reprotune.untrusted import clipped

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
WEIGHTS_INDEX = "model.safetensors.index.json"

HEAD_TENSOR = f"{HEAD}.weight"
DTYPES = ("F32", "F16", "BF16")
SHOWN_TENSORS = 3


def read_config(path: Path) -> ModelConfig:
    """Read a config.json; raises `UserError` unless our network computes the model that it describes."""
    fields = ConfigFields(read_json_object(path), path)
    family = fields.document.get("model_type")
    if not isinstance(family, str) or family not in FAMILIES:
        fields.refuse("model_type", family, f"one of {', '.join(FAMILIES)}")
    fields.require("quantization_config", None)
    return FAMILIES[family].read(fields)


def check_rank(rank: int, width: int) -> None:
    """Raise `UserError` if adapters would have a higher rank than the matrices that they change."""
    if rank > width:
        raise UserError(
            f"finetune.lora.rank is {rank}, but the model's matrices have rank {width} at most: lower it (8 to 64 is "
            "usual), or set finetune.method to full"
        )


def config_json(config: ModelConfig, dtype: str) -> str:
    """Return the text of the config.json for weights stored as `dtype` (`float32`, ...)."""
    family = FAMILIES[config.family]
    ends = config.end_of_text
    document = family.write(config) | {
        "model_type": config.family,
        "architectures": [family.architecture],
        "vocab_size": config.vocab_size,
        "tie_word_embeddings": config.tied,
        "bos_token_id": config.begin_of_text,
        "eos_token_id": ends[0] if len(ends) == 1 else list(ends) or None,
        "initializer_range": 0.02,
        "use_cache": True,
        "torch_dtype": dtype,
    }
    return json.dumps(document, indent=2, sort_keys=True) + "\n"


def read_json_object(path: Path) -> dict[str, Any]:
    """Read one of the JSON files of a checkpoint.

    Raises `UserError` where it is missing, not an object, or has a key twice: it would be a guess which one was meant.
    """
    if not path.is_file():
        raise UserError(f"{path} is missing: give a folder in Hugging Face layout")
    try:
        value = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_without_repeats)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is not valid JSON ({error}): fetch it again") from error
    if not isinstance(value, dict):
        raise UserError(f"{path} is not a JSON object: fetch it again")
    return value


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(key for place, (key, _) in enumerate(pairs) if key in dict(pairs[:place]))
        raise ValueError(f"the key {clipped(twice, 60)!r} occurs twice")
    return found


class OpenTensor(NamedTuple):
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
    return [WEIGHTS_INDEX, *shard_names(index)]


def shard_names(index: Path) -> list[str]:
    """Return the names of the files that an index lists; raises `UserError` where one may lie outside the folder."""
    weight_map = read_json_object(index).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise UserError(f"{index} has no weight_map: save the model again with transformers")
    shards = sorted({str(name) for name in weight_map.values()})
    for shard in shards:
        if Path(shard).name != shard or "\\" in shard or not shard.endswith(".safetensors"):
            raise UserError(f"{index} names {shard!r}, which is not a .safetensors file of the folder")
    return shards


@contextmanager
def opened_tensors(paths: list[Path], family: Family, framework: str = "numpy") -> Iterator[dict[str, OpenTensor]]:
    """Yield the tensors of safetensors files by their name on the hub, without prefixes and buffers.

    Raises `UserError` on a damaged file, on a tensor that is not floating point and on one that is stored twice. The
    library checks that a file is as long as its header says, and that its tensors fill it without gaps.
    """
    tensors: dict[str, OpenTensor] = {}
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
                tensor, name = OpenTensor(file, key), key.removeprefix(family.prefix)
                if family.buffers.fullmatch(name):
                    continue
                if tensor.dtype not in DTYPES:
                    raise UserError(
                        f"{path}: tensor {key!r} is {tensor.dtype}, but weights should be one of {', '.join(DTYPES)}: "
                        "save the model again in one of them"
                    )
                if name in tensors:
                    raise UserError(
                        f"{path}: tensor {key!r} is stored twice, here or in another file of the model: save the model "
                        "again"
                    )
                tensors[name] = tensor
        yield tensors


def check_tensors(tensors: Mapping[str, OpenTensor], config: ModelConfig, where: Path) -> None:
    """Raise `UserError` unless the tensors are those that `config` implies; files may also hold a tied head."""
    expected = {stored.name: stored.shape for stored in stored_tensors(config)}
    for name, shape in expected.items():
        found = tensors[name].shape if name in tensors else None
        if found != shape:
            has = "missing" if found is None else f"of shape {list(found)}"
            raise UserError(
                f"{where}: tensor {name} is {has}, but {CONFIG} implies {list(shape)}: the two files do not belong "
                "together"
            )
    strange = sorted(tensors.keys() - expected.keys() - {HEAD_TENSOR})
    if strange:
        raise UserError(
            f"{where} holds tensors that a language model of type {config.family} does not have "
            f"({', '.join(strange[:SHOWN_TENSORS])}): choose another model"
        )
