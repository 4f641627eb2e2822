"""Where the base model comes from: embedded weights, a local folder in Hugging Face layout, a GGUF file, or the hub.

A checkpoint is checked before it is accepted: it must be of a family that our network computes, with the tensors that
its config implies.
"""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, cast

import huggingface_hub
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RevisionNotFoundError,
)

from reprotune.artifacts import replaced_directory
from reprotune.console import counted, note
from reprotune.dataset.tokenizers.files import complete_tokenizer_files
from reprotune.dataset.tokenizers.gguf import write_tokenizer_files
from reprotune.errors import UserError
from reprotune.model.checkpoint import (
    CONFIG,
    WEIGHTS,
    WEIGHTS_INDEX,
    ModelConfig,
    check_tensors,
    opened_tensors,
    read_config,
    shard_names,
    weight_files,
)
from reprotune.model.families import FAMILIES
from reprotune.params.sections.fetch import HUB_MODELS, BaseParams

if TYPE_CHECKING:
    from reprotune.model.gguf import GGUFModel

PINNED_REVISIONS = {
    "gpt2": "607a30d783dfa663caf39e06633721c8d4cfcd7e",
    "gpt2-medium": "6dcaa7a952f72f9298047fd5137cd6e4f05f41da",
    "gpt2-large": "32b71b12589c2f8d625668d2335a01cac3249519",
    "gpt2-xl": "15ea56dee5df4983c59b2538573817e1667135e2",
}

COMPANION_FILES = (
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "chat_template.jinja",
)
"""Copied where present; a model card is left out, since its wording changes no result."""


def fetch_base(params: BaseParams, destination: Path) -> None:
    """Put the checkpoint that `fetch.base` names into the folder `destination`, all of it or nothing.

    A name of the hub's wins over a folder of that name, so write `./gpt2` for the latter. Raises `UserError` if the
    checkpoint cannot be had or is not one that Reprotune can train.
    """
    if params.path is not None and _is_gguf(params.path):
        model = _read_gguf(params.path)
        with replaced_directory(destination) as folder:
            model.write(folder)
            with _named(folder, params.source):
                write_tokenizer_files(model.metadata, folder, params.source)
                complete_tokenizer_files(folder)
        note(f"fetch: {params.path.name} is {model.config.family}, stored as {_counted(model.quantisation)}")
        return
    if params.repository is None:
        files = folder_files(cast(Path, params.path))
    else:
        files = hub_files(params.repository, params.revision or PINNED_REVISIONS[params.source])
    check_checkpoint(files)
    with replaced_directory(destination) as folder:
        for name, path in files.items():
            _place(path, folder / name, link=params.repository is not None)
        with _named(folder, params.source):
            complete_tokenizer_files(folder)


@contextmanager
def _named(folder: Path, source: str) -> Iterator[None]:
    """Name the source in a fault that names the folder where its files are gathered, which nobody will find."""
    try:
        yield
    except UserError as error:
        raise UserError(str(error).replace(str(folder), source)) from error


def local_config(path: Path) -> ModelConfig:
    """Return the config of a folder or GGUF file, its headers checked; raises `UserError` as `fetch_base` does."""
    if _is_gguf(path):
        return _read_gguf(path).config
    files = folder_files(path)
    check_checkpoint(files)
    return read_config(files[CONFIG])


def _is_gguf(path: Path) -> bool:
    return path.suffix.lower() == ".gguf"


def _read_gguf(path: Path) -> "GGUFModel":
    from reprotune.model.gguf import read_gguf  # noqa: PLC0415 - it needs torch, which takes seconds to import

    if not path.is_file():
        raise UserError(f"fetch.base.source: there is no file {path}: check the path")
    return read_gguf(path)


def _counted(quantisation: dict[str, int]) -> str:
    return ", ".join(f"{name} ({counted(count, 'tensor')})" for name, count in quantisation.items())


def folder_files(folder: Path) -> dict[str, Path]:
    """Return the files to take from a folder in Hugging Face layout: name -> path with symlinks resolved.

    Raises `UserError` if a needed file is missing, or if a symlink or a shard's name leads out of the folder.
    """
    if not folder.is_dir():
        raise UserError(
            f"fetch.base.source {folder} is not a folder: set it to embedded, to a folder in Hugging Face layout, to a "
            f"GGUF file, to hub:owner/name or to one of {', '.join(HUB_MODELS)}"
        )
    names = [CONFIG, *weight_files(folder), *COMPANION_FILES]
    files = {name: _resolved_inside(folder, name) for name in names if (folder / name).is_file()}
    for name in names:
        if name not in files and name not in COMPANION_FILES:
            raise UserError(f"{folder / name} is missing: copy the whole checkpoint into the folder")
    return files


def _resolved_inside(folder: Path, name: str) -> Path:
    """Resolve symlinks, which may not leave the folder, so that no foreign file is published as part of a model.

    The hub's own cache is the exception: there the files of `snapshots/<commit>/` are links into `blobs/`.
    """
    path, root = (folder / name).resolve(), folder.resolve()
    blobs = root.parent.parent / "blobs"
    if path.is_relative_to(root) or (root.parent.name == "snapshots" and path.is_relative_to(blobs)):
        return path
    raise UserError(f"{folder / name} is a link to {path}, outside the folder: put the file itself there")


def hub_files(repository: str, revision: str) -> dict[str, Path]:
    """Download a checkpoint into the hub's cache (only what is not there yet) and return name -> path.

    The config comes first, so that a model that cannot be trained is refused before its weights are downloaded. The
    hub's address, token, cache and offline mode come from the environment, as always with huggingface_hub
    (`HF_ENDPOINT`, `HF_TOKEN`, `HF_HOME`, `HF_HUB_OFFLINE`).
    """
    files = {CONFIG: _required(repository, CONFIG, revision)}
    read_config(files[CONFIG])
    for name in COMPANION_FILES:
        if (path := _optional(repository, name, revision)) is not None:
            files[name] = path
    whole = _optional(repository, WEIGHTS, revision)
    if whole is not None:
        return files | {WEIGHTS: whole}
    index = _optional(repository, WEIGHTS_INDEX, revision)
    if index is None:
        _required(repository, WEIGHTS, revision)
        raise UserError(f"{repository} at {revision} has no {WEIGHTS}")
    files[WEIGHTS_INDEX] = index
    return files | {name: _required(repository, name, revision) for name in shard_names(index)}


def _required(repository: str, name: str, revision: str) -> Path:
    try:
        return Path(huggingface_hub.hf_hub_download(repository, name, revision=revision)).resolve()
    except Exception as error:  # the library promises no common class; its HTTP client changed between versions
        raise UserError(_hub_fault(error, repository, name, revision)) from error


def _optional(repository: str, name: str, revision: str) -> Path | None:
    try:
        return Path(huggingface_hub.hf_hub_download(repository, name, revision=revision)).resolve()
    except Exception as error:  # as above
        if _may_be_absent(error, name):
            return None
        raise UserError(_hub_fault(error, repository, name, revision)) from error


def _may_be_absent(error: Exception, name: str) -> bool:
    """Whether the repository has no such file, or offline mode (not a bad network) keeps us from asking."""
    if not isinstance(error, LocalEntryNotFoundError):
        return isinstance(error, EntryNotFoundError)
    offline = isinstance(error.__cause__, OfflineModeIsEnabled)
    if offline and name in COMPANION_FILES:
        note(f"{name} is not in the hub's cache and HF_HUB_OFFLINE is set: left out")
    return offline


def _hub_fault(error: Exception, repository: str, name: str, revision: str) -> str:
    endpoint = os.environ.get("HF_ENDPOINT") or "https://huggingface.co"
    instead = "or set fetch.base.source to embedded or to a local folder with the model"
    cause: BaseException = error
    while not isinstance(cause, HfHubHTTPError) and cause.__cause__ is not None:
        cause = cause.__cause__
    if isinstance(cause, GatedRepoError):
        return (
            f"{repository} is open to those alone who accepted its terms: do so at {endpoint}/{repository}, and set "
            f"HF_TOKEN to a token of yours, {instead}"
        )
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
            f"{repository}/{name} at {revision} is not in the hub's cache, and HF_HUB_OFFLINE forbids downloading it: "
            f"unset HF_HUB_OFFLINE once, {instead}"
        )
    return (
        f"cannot download {repository}/{name} from {endpoint} ({type(cause).__name__}): connect to the network, set "
        f"HF_ENDPOINT to a mirror that you can reach, {instead}"
    )


def check_checkpoint(files: dict[str, Path]) -> None:
    """Raise `UserError` unless the files (name -> path) are a model that our network computes as it was trained."""
    config = read_config(files[CONFIG])
    weights = [path for name, path in files.items() if name.endswith(".safetensors")]
    with opened_tensors(weights, FAMILIES[config.family]) as tensors:
        check_tensors(tensors, config, files[CONFIG].parent if WEIGHTS_INDEX in files else files[WEIGHTS])


def _place(path: Path, target: Path, link: bool) -> None:
    """Copy a file, or hard-link it where that is safe: the hub's cache never rewrites a file in place.

    A link to a file that may be overwritten would let that change what DVC has stored.
    """
    if link:
        try:
            os.link(path, target)
            return
        except OSError:
            pass  # another disk, or a file system without hard links
    try:
        shutil.copyfile(path, target)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):  # Python names the source first
            error.filename = str(target)
        raise
