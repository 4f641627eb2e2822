"""Where the base model comes from: embedded weights, a local folder in Hugging Face layout, or the hub.

A checkpoint is checked before it is accepted: it must be a plain GPT-2, in safetensors, with the tensors that its
config.json implies.
"""

import errno
import os
import shutil
from pathlib import Path

import huggingface_hub
from huggingface_hub.errors import (
    EntryNotFoundError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RevisionNotFoundError,
)

from reprotune.artifacts import replaced_directory
from reprotune.console import note
from reprotune.dataset.tokenizers.files import complete_tokenizer_files
from reprotune.errors import UserError
from reprotune.model.checkpoint import (
    CONFIG,
    WEIGHTS,
    WEIGHTS_INDEX,
    GPT2Config,
    check_tensors,
    opened_tensors,
    read_config,
    weight_files,
)
from reprotune.params.sections.fetch import HUB_MODELS, BaseParams

HUB_OWNER = "openai-community"
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
    if params.folder is None:
        files = hub_files(f"{HUB_OWNER}/{params.source}", params.revision or PINNED_REVISIONS[params.source])
    elif params.revision is None:
        files = folder_files(params.folder)
    else:
        raise UserError(
            f"fetch.base.revision is set, but fetch.base.source {params.source} is not on the hub: set the revision to "
            "null"
        )
    check_checkpoint(files)
    with replaced_directory(destination) as folder:
        for name, path in files.items():
            _place(path, folder / name, link=params.folder is None)
        complete_tokenizer_files(folder)


def folder_files(folder: Path) -> dict[str, Path]:
    """Return the files to take from a folder in Hugging Face layout: name -> path with symlinks resolved.

    Raises `UserError` if a needed file is missing, or if a symlink or a shard's name leads out of the folder.
    """
    if not folder.is_dir():
        raise UserError(
            f"fetch.base.source {folder} is not a folder: set it to embedded, to a folder in Hugging Face layout or to "
            f"one of {', '.join(HUB_MODELS)}"
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

    The hub's address, token, cache and offline mode come from the environment, as always with
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
            f"{repository}/{name} at {revision} is not in the hub's cache, and HF_HUB_OFFLINE forbids downloading it: "
            f"unset HF_HUB_OFFLINE once, {instead}"
        )
    return (
        f"cannot download {repository}/{name} from {endpoint} ({type(cause).__name__}): connect to the network, set "
        f"HF_ENDPOINT to a mirror that you can reach, {instead}"
    )


def check_checkpoint(files: dict[str, Path]) -> None:
    """Raise `UserError` unless the files (name -> path) are a GPT-2 that our network computes as it was trained."""
    config = read_config(files[CONFIG])
    if config.vocab_size != GPT2Config.vocab_size:
        raise UserError(
            f"{files[CONFIG]}: vocab_size is {config.vocab_size}, but GPT-2's tokenizer has {GPT2Config.vocab_size} "
            "tokens: choose another model"
        )
    with opened_tensors([path for name, path in files.items() if name.endswith(".safetensors")]) as tensors:
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
