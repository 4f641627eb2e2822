"""Where the base model comes from: embedded weights, a local folder in Hugging Face layout, or the hub.

A checkpoint is checked before it is taken: it must be a plain GPT-2, in safetensors, with the tensors that its
config.json implies. Only headers are read for that. Pickled weights (.bin, .pt, .h5) are never touched.
"""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import huggingface_hub
from huggingface_hub.errors import (
    EntryNotFoundError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RevisionNotFoundError,
)
from safetensors import SafetensorError, safe_open

from reprotune.artifacts import replaced_directory
from reprotune.console import note
from reprotune.errors import UserError

EMBEDDED_BASE = Path("data/embedded/base")
HUB_OWNER = "openai-community"
PINNED_REVISIONS = {
    "gpt2": "607a30d783dfa663caf39e06633721c8d4cfcd7e",
    "gpt2-medium": "6dcaa7a952f72f9298047fd5137cd6e4f05f41da",
    "gpt2-large": "32b71b12589c2f8d625668d2335a01cac3249519",
    "gpt2-xl": "15ea56dee5df4983c59b2538573817e1667135e2",
}

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
WEIGHTS_INDEX = "model.safetensors.index.json"
COMPANION_FILES = (
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
)
"""Taken along when they are there; a model card is not, for its wording changes no result."""

SUPPORTED_OPTIONS: dict[str, tuple[Any, ...]] = {
    "model_type": ("gpt2",),
    "activation_function": ("gelu_new",),
    "vocab_size": (50257,),
    "scale_attn_weights": (True,),
    "scale_attn_by_inverse_layer_idx": (False,),
    "reorder_and_upcast_attn": (False,),
    "add_cross_attention": (False,),
    "tie_word_embeddings": (True,),
    "quantization_config": (None,),
}
"""Values of config.json that our network implements; an absent key has the first of them, except `model_type`."""

DTYPES = ("F32", "F16", "BF16")
SHOWN_TENSORS = 3

Shape = tuple[int, ...]


def fetch_base(source: str, revision: str | None, destination: Path) -> None:
    """Put the checkpoint that `fetch.base.source` names into the folder `destination`, all of it or nothing.

    `source` is `embedded`, a size on the hub (`gpt2`, `gpt2-medium`, `gpt2-large`, `gpt2-xl`; so write `./gpt2` for a
    folder of that name) or a folder. `revision` is a commit of the hub repository; None means the pinned one.
    Raises `UserError` if the checkpoint cannot be had or is not one that Reprotune can train.
    """
    from_hub = source in PINNED_REVISIONS
    if revision is not None and not from_hub:
        raise UserError(
            f"fetch.base.revision is set, but fetch.base.source {source} is not on the hub: set the revision to null"
        )
    if from_hub:
        files = hub_files(f"{HUB_OWNER}/{source}", revision or PINNED_REVISIONS[source])
    else:
        files = folder_files(EMBEDDED_BASE if source == "embedded" else Path(source).expanduser())
    check_checkpoint(files)
    with replaced_directory(destination) as folder:
        for name, path in files.items():
            _place(path, folder / name, link=from_hub)


def folder_files(folder: Path) -> dict[str, Path]:
    """Return the files to take from a folder in Hugging Face layout: name -> path with symlinks resolved.

    Raises `UserError` if the folder lacks what is needed or leads out of itself by a symlink or a shard's name.
    """
    if not folder.is_dir():
        raise UserError(
            f"fetch.base.source {folder} is not a folder: set it to embedded, to a folder in Hugging Face layout or to "
            f"one of {', '.join(PINNED_REVISIONS)}"
        )
    names = [CONFIG, *_weight_names(folder), *COMPANION_FILES]
    files = {name: _resolved_inside(folder, name) for name in names if (folder / name).is_file()}
    for name in names:
        if name not in files and name not in COMPANION_FILES:
            raise UserError(f"{folder / name} is missing: copy the whole checkpoint into the folder")
    return files


def _weight_names(folder: Path) -> list[str]:
    if (folder / WEIGHTS).is_file():
        return [WEIGHTS]
    if not (folder / WEIGHTS_INDEX).is_file():
        raise UserError(
            f"{folder} has no {WEIGHTS}: Reprotune reads no pickled weights, so save the model again with "
            f"`save_pretrained(folder, safe_serialization=True)` of transformers"
        )
    weight_map = _read_json_object(_resolved_inside(folder, WEIGHTS_INDEX)).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise UserError(f"{folder / WEIGHTS_INDEX} has no weight_map: save the model again with transformers")
    shards = {str(name) for name in weight_map.values()}
    for shard in sorted(shards):
        if Path(shard).name != shard or "\\" in shard or not shard.endswith(".safetensors"):
            raise UserError(f"{folder / WEIGHTS_INDEX} names {shard!r}, which is not a .safetensors file of the folder")
    return [WEIGHTS_INDEX, *sorted(shards)]


def _resolved_inside(folder: Path, name: str) -> Path:
    """Resolve symlinks, which may not leave the folder, so that no foreign file is published as part of a model.

    The hub's own cache is the exception: there the files of `snapshots/<commit>/` are links into `blobs/`.
    """
    path, root = (folder / name).resolve(), folder.resolve()
    blobs = root.parent.parent / "blobs"
    if path.is_relative_to(root) or (root.parent.name == "snapshots" and path.is_relative_to(blobs)):
        return path
    raise UserError(f"{folder / name} is a link to {path}, outside of the folder: put the file itself there")


def hub_files(repository: str, revision: str) -> dict[str, Path]:
    """Download a checkpoint into the hub's cache (only what is not there yet) and return name -> path.

    Where the hub lives, its token, its cache and offline mode come from the environment, as everywhere with
    huggingface_hub (`HF_ENDPOINT`, `HF_TOKEN`, `HF_HOME`, `HF_HUB_OFFLINE`).
    """
    files = {}
    for name in (CONFIG, WEIGHTS, *COMPANION_FILES):
        try:
            path = huggingface_hub.hf_hub_download(repository, name, revision=revision)
        except Exception as error:  # the library promises no common class; its HTTP client changed between versions
            if name in COMPANION_FILES and _may_be_absent(error, name):
                continue
            raise UserError(_hub_fault(error, repository, name, revision)) from error
        files[name] = Path(path).resolve()
    return files


def _may_be_absent(error: Exception, name: str) -> bool:
    """Whether the repository has no such file, or offline mode (not a bad network) keeps us from asking."""
    if not isinstance(error, LocalEntryNotFoundError):
        return isinstance(error, EntryNotFoundError)
    offline = isinstance(error.__cause__, OfflineModeIsEnabled)
    if offline:
        note(f"{name} is not in the hub's cache and HF_HUB_OFFLINE is set: left out")
    return offline


def _hub_fault(error: Exception, repository: str, name: str, revision: str) -> str:
    endpoint = os.environ.get("HF_ENDPOINT") or "https://huggingface.co"
    instead = "or set fetch.base.source to embedded or to a local folder with the model"
    cause: BaseException = error
    while not isinstance(cause, HfHubHTTPError) and cause.__cause__ is not None:
        cause = cause.__cause__
    if isinstance(cause, RevisionNotFoundError):
        return f"{repository} has no revision {revision} at {endpoint}: set fetch.base.revision to null, {instead}"
    if isinstance(cause, EntryNotFoundError) and isinstance(cause, HfHubHTTPError):
        return f"{repository} at {revision} has no {name}: set fetch.base.revision to null, {instead}"
    if isinstance(cause, HfHubHTTPError):
        status = cause.response.status_code
        return (
            f"{endpoint} answered {status} for {repository}/{name}: check HF_TOKEN (a wrong token closes public models "
            f"too) and HF_ENDPOINT, {instead}"
        )
    if isinstance(cause, OfflineModeIsEnabled):
        return (
            f"{repository}/{name} at {revision} is not in the hub's cache, and HF_HUB_OFFLINE forbids to download it: "
            f"unset HF_HUB_OFFLINE once, {instead}"
        )
    return (
        f"cannot download {repository}/{name} from {endpoint} ({type(cause).__name__}): connect to the network, set "
        f"HF_ENDPOINT to a mirror that you can reach, {instead}"
    )


def check_checkpoint(files: dict[str, Path]) -> None:
    """Raise `UserError` unless the files (name -> path) are a GPT-2 that our network computes as it was trained."""
    config = _read_json_object(files[CONFIG])
    _check_options(config, files[CONFIG])
    expected = dict(_expected_shapes(config, files[CONFIG]))
    found: dict[str, Shape] = {}
    for name, path in files.items():
        if name.endswith(".safetensors"):
            found |= _tensor_shapes(path)
    _check_shapes(expected, found, files[CONFIG].parent if WEIGHTS_INDEX in files else files[WEIGHTS])


def _check_options(config: dict[str, Any], path: Path) -> None:
    for option, supported in SUPPORTED_OPTIONS.items():
        value = config.get(option, None if option == "model_type" else supported[0])
        if value not in supported:
            raise UserError(
                f"{path}: {option} is {value!r}, but Reprotune's network needs {supported[0]!r}: choose another model"
            )
    epsilon = config.get("layer_norm_epsilon", 1e-5)
    if not isinstance(epsilon, float) or not 0 < epsilon < 1:
        raise UserError(f"{path}: layer_norm_epsilon is {epsilon!r}, but it should lie between 0 and 1: mend the file")


def _expected_shapes(config: dict[str, Any], path: Path) -> Iterator[tuple[str, Shape]]:
    """Yield the name and shape of every weight; GPT-2's Conv1D stores matrices as [inputs, outputs]."""
    layers, heads, width, positions = (
        _positive_int(config, key, path) for key in ("n_layer", "n_head", "n_embd", "n_positions")
    )
    inner = 4 * width
    if width % heads:
        raise UserError(f"{path}: n_embd {width} is not a multiple of n_head {heads}: mend the file")
    if config.get("n_inner") not in (None, inner):
        raise UserError(f"{path}: n_inner is {config['n_inner']!r}, but Reprotune's network needs 4 * n_embd = {inner}")
    matrices = {
        "attn.c_attn": (width, 3 * width),
        "attn.c_proj": (width, width),
        "mlp.c_fc": (width, inner),
        "mlp.c_proj": (inner, width),
    }
    norms = ["ln_f", *(f"h.{layer}.{norm}" for layer in range(layers) for norm in ("ln_1", "ln_2"))]
    yield "wte.weight", (config.get("vocab_size", 50257), width)
    yield "wpe.weight", (positions, width)
    for norm in norms:
        yield f"{norm}.weight", (width,)
        yield f"{norm}.bias", (width,)
    for layer in range(layers):
        for name, shape in matrices.items():
            yield f"h.{layer}.{name}.weight", shape
            yield f"h.{layer}.{name}.bias", shape[1:]


def _positive_int(config: dict[str, Any], key: str, path: Path) -> int:
    value = config.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value <= 1_000_000:
        raise UserError(f"{path}: {key} is {value!r}, but it should be a positive whole number: mend the file")
    return value


def _tensor_shapes(path: Path) -> dict[str, Shape]:
    """Read the shapes from a safetensors header; the library checks that the file is as long as its header says."""
    shapes = {}
    try:
        with safe_open(path, framework="numpy") as file:
            for name in file.keys():  # noqa: SIM118 - not a dictionary: it has no iterator of its own
                tensor = file.get_slice(name)
                if tensor.get_dtype() not in DTYPES:
                    raise UserError(
                        f"{path}: tensor {name!r} is {tensor.get_dtype()}, but weights should be one of "
                        f"{', '.join(DTYPES)}: save the model again in one of them"
                    )
                shapes[name.removeprefix("transformer.")] = tuple(tensor.get_shape())
    except (SafetensorError, OSError) as error:
        raise UserError(
            f"{path} is not a complete safetensors file ({error}): fetch it again (a Git LFS pointer is not the file)"
        ) from error
    return shapes


def _check_shapes(expected: dict[str, Shape], found: dict[str, Shape], where: Path) -> None:
    """Compare tensors; older checkpoints also hold the causal mask as a buffer, newer ones the tied head."""
    for name, shape in expected.items():
        if found.get(name) != shape:
            has = "missing" if name not in found else f"of shape {list(found[name])}"
            raise UserError(
                f"{where}: tensor {name} is {has}, but config.json implies {list(shape)}: the two files do not belong "
                f"together"
            )
    strange = sorted(name for name in found if name not in expected and not _is_known_extra(name))
    if strange:
        raise UserError(
            f"{where} holds tensors that a GPT-2 language model does not have ({', '.join(strange[:SHOWN_TENSORS])}): "
            f"choose another model"
        )


def _is_known_extra(name: str) -> bool:
    return name == "lm_head.weight" or name.endswith((".attn.bias", ".attn.masked_bias"))


def _read_json_object(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is not valid JSON ({error}): fetch it again") from error
    if not isinstance(value, dict):
        raise UserError(f"{path} is not a JSON object: fetch it again")
    return value


def _place(path: Path, target: Path, link: bool) -> None:
    """Copy a file, or hard-link it where that is safe: the hub's cache never rewrites a file in place.

    A link to a file that somebody may overwrite would let that change what DVC has stored.
    """
    if link:
        try:
            os.link(path, target)
            return
        except OSError:
            pass  # another disk, or a file system without hard links
    shutil.copyfile(path, target)
