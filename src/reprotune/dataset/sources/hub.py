"""Datasets on the hub: the Parquet files of one configuration and split, at a pinned commit.

The hub's address, token, cache and offline mode come from the environment, as always with huggingface_hub
(`HF_ENDPOINT`, `HF_TOKEN`, `HF_HOME`, `HF_HUB_OFFLINE`).
"""

import json
import os
import re
from pathlib import Path, PurePosixPath
from typing import Any

import huggingface_hub
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from reprotune.artifacts import write_json
from reprotune.console import counted, note
from reprotune.errors import UserError
from reprotune.params.sections.dataset import HUB, HubParams, SourceParams
from reprotune.scratch import fingerprint, scratch_directory

SHOWN_NAMES = 8
CONVERTED = "refs/convert/parquet"
"""The branch on which the hub keeps every public dataset as Parquet."""


def hub_files(key: str, source: SourceParams) -> dict[str, Path]:
    """Download the files that params.yaml names under `key` into the hub's cache and return name -> path, sorted.

    Only what is not there yet is downloaded. Raises `UserError` where that is not possible.
    """
    repository, hub = source.source.removeprefix(HUB), source.hub
    if hub.revision is None:
        raise UserError(
            f"{key}.hub.revision is null, but a dataset on the hub is read at a fixed commit: set it to one"
            f"{_latest(repository)}"
        )
    try:
        names = chosen(_listed(repository, hub.revision), hub, f"{source.source} at {hub.revision}", key)
        note(f"{source.source}: {counted(len(names), 'file')}, {names[0]} to {names[-1]}")
        return {name: _downloaded(repository, name, hub.revision) for name in names}
    except UserError:
        raise
    except Exception as error:  # the library promises no common class; its HTTP client changed between versions
        raise UserError(_fault(error, repository, key, hub)) from error


def chosen(names: list[str], hub: HubParams, where: str, key: str) -> list[str]:
    """Return the Parquet files of a configuration and split, by the names that the hub and `datasets` give them.

    Such as `data/train-00000-of-00002.parquet`, `data/en/train-...`, `en/train/0000.parquet`. Raises `UserError` where
    none fits, or where those of several configurations do.
    """
    tables = sorted(name for name in names if name.endswith(".parquet"))
    if not tables:
        raise UserError(
            f"{where} has no Parquet files: set {key}.hub.revision to the commit of its branch {CONVERTED}, where the "
            "hub keeps them, or download its files and name their folder"
        )
    prefix = f"(?:{re.escape(hub.configuration)}[-._])?" if hub.configuration else ""
    of_split = re.compile(rf"(?:^|/){prefix}{re.escape(hub.split)}(?:[/.-]|$)")
    fitting = [
        name
        for name in tables
        if of_split.search(name) and (hub.configuration is None or re.search(_part(hub.configuration), name))
    ]
    folders = sorted({str(PurePosixPath(name).parent) for name in fitting})
    if not fitting:
        asked = f"split {hub.split!r}" + (f" of configuration {hub.configuration!r}" if hub.configuration else "")
        raise UserError(
            f"{where} has no {asked}, only the files {_shown(tables)}: set {key}.hub.split and configuration by them"
        )
    if len(folders) > 1 and hub.configuration is None:
        raise UserError(
            f"{where} has several configurations, in {_shown(folders)}: set {key}.hub.configuration to the one to read"
        )
    return fitting


def _part(configuration: str) -> str:
    return rf"(?:^|/){re.escape(configuration)}(?:/|[-._][^/]*$)"


def _listed(repository: str, revision: str) -> list[str]:
    """Return the names of a commit's files; asked once, since a commit does not change."""
    path = scratch_directory("downloads", fingerprint([repository, revision])) / "files.json"
    if path.is_file():
        return [str(name) for name in json.loads(path.read_text(encoding="utf-8"))]
    names = huggingface_hub.HfApi().list_repo_files(repository, repo_type="dataset", revision=revision)
    write_json(path, names)
    return names


def _downloaded(repository: str, name: str, revision: str) -> Path:
    path: Any = huggingface_hub.hf_hub_download(repository, name, repo_type="dataset", revision=revision)
    return Path(path).resolve()


def _latest(repository: str) -> str:
    """Return the commit that the hub has now, in words; empty where it cannot be asked."""
    try:
        commit = huggingface_hub.HfApi().dataset_info(repository, timeout=10).sha
    except Exception:  # only a hint: the sentence that it belongs to is right without
        return ""
    return f" (now it is {commit})" if commit else ""


def _fault(error: Exception, repository: str, key: str, hub: HubParams) -> str:
    endpoint = os.environ.get("HF_ENDPOINT") or "https://huggingface.co"
    where = f"dataset {repository} at {endpoint}"
    cause: BaseException = error
    while not isinstance(cause, HfHubHTTPError) and cause.__cause__ is not None:
        cause = cause.__cause__
    if isinstance(cause, GatedRepoError):
        return f"{where} is gated: accept its terms on its page, and set HF_TOKEN to a token of your account"
    if isinstance(cause, RevisionNotFoundError):
        return f"{where} has no commit {hub.revision}: set {key}.hub.revision to one of its own"
    if isinstance(cause, RepositoryNotFoundError):
        return f"{where} is not there or not open to you: check {key}.source, and HF_TOKEN where it is private"
    if isinstance(cause, HfHubHTTPError) and not isinstance(cause, EntryNotFoundError):
        return f"{where}: the hub answered {cause.response.status_code}: check HF_TOKEN and HF_ENDPOINT, and run again"
    if isinstance(cause, OfflineModeIsEnabled):
        return f"{where} is not in the hub's cache, and HF_HUB_OFFLINE forbids downloading it: unset it once"
    return (
        f"{where} cannot be downloaded ({type(cause).__name__}): connect to the network, set HF_ENDPOINT to a mirror "
        f"that you can reach, or set {key}.source to local files"
    )


def _shown(names: list[str]) -> str:
    return ", ".join(names[:SHOWN_NAMES]) + (
        f" and {len(names) - SHOWN_NAMES} more" if len(names) > SHOWN_NAMES else ""
    )
