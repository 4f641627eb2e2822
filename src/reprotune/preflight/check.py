"""What can be known before anything costly runs: the whole of params.yaml, and the files and services that it names."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reprotune.dataset.readers import read_rows
from reprotune.dataset.records import Normalizer
from reprotune.dataset.templates import load_template
from reprotune.errors import UserError
from reprotune.judging.run import CLIENTS
from reprotune.model.checkpoint import CONFIG, GPT2_SIZES, check_rank, read_config
from reprotune.model.source import check_checkpoint, folder_files
from reprotune.params.document import Document
from reprotune.params.values import PARAMS_FILE
from reprotune.pipeline.deps import files_named_in_params
from reprotune.pipeline.dvc_yaml import DVC_YAML, read_pipeline
from reprotune.pipeline.lock import read_lock

RWLOCK = Path(".dvc/tmp/rwlock")


@dataclass(frozen=True)
class Finding:
    """One thing that was checked; `fault` is a sentence, or None where all is well."""

    subject: str
    seen: str
    """What was found, in a few words."""
    fault: str | None = None


def check(path: Path = PARAMS_FILE) -> list[Finding]:
    """Check everything that params.yaml asks for; nothing is downloaded, trained or judged.

    Where the params themselves are wrong, nothing else can be checked.
    """
    try:
        params = Document.read(path)
    except UserError as error:
        return [Finding(path.name, "wrong", str(error))]
    return [
        Finding(path.name, "every key and value is known"),
        _attempted("dataset", lambda: _dataset(params)),
        _attempted("base model", lambda: _base(params)),
        _attempted("template", lambda: load_template(params.format.template).name),
        _attempted("judge", lambda: _judge(params)),
        _attempted("dvc.yaml", lambda: _deps(path.parent)),
        _attempted("DVC", _dvc),
    ]


def _attempted(subject: str, look: Callable[[], str]) -> Finding:
    try:
        return Finding(subject, look())
    except UserError as error:
        return Finding(subject, "wrong", str(error))


def _dataset(params: Document) -> str:
    """Read the first rows of a local file and map their columns."""
    dataset = params.fetch.dataset
    if dataset.file is None:
        return f"{dataset.source} will be downloaded"
    if not dataset.file.is_file():
        raise UserError(f"fetch.dataset.source: there is no file {dataset.file}: check the path")
    normalizer = Normalizer(dataset, dataset.source)
    for rows in read_rows(dataset.file, dataset.source, dataset.format, dataset.columns.model_dump().values()):
        normalizer.normalize(rows)
        break
    counts = normalizer.finish()
    return f"{counts['records']} of the first {counts['rows']} rows of {dataset.source} are usable"


def _base(params: Document) -> str:
    """Read the config and the headers of a local checkpoint, and compare its context with the rows' limit."""
    base = params.fetch.base
    if base.folder is None:
        config = GPT2_SIZES[base.source]
    else:
        files = folder_files(base.folder)
        check_checkpoint(files)
        config = read_config(files[CONFIG])
    if params.finetune.method == "lora":
        check_rank(params.finetune.lora.rank, config.n_embd)
    seen = f"{base.source}, {config.n_layer} layers of width {config.n_embd}, {config.n_positions} positions"
    if params.tokenize.max_length > config.n_positions + 1:
        seen += f"; tokenize.max_length {params.tokenize.max_length} is more, so a row that needs them stops finetune"
    return seen


def _judge(params: Document) -> str:
    """Connect to the service, where the judge is one; Ollama also tells whether it has the model."""
    if params.judge.backend == "offline":
        return "offline statistics"
    client = CLIENTS[params.judge.backend](params.judge)
    try:
        client.reach()
    finally:
        client.close()
    return f"{params.judge.backend}, model {params.judge.model}"


def _deps(root: Path) -> str:
    """Compare the local files that are named with the deps in dvc.yaml: a stage refuses what DVC cannot follow."""
    if not (root / DVC_YAML).exists():
        return "not here"
    listed = {stage.name: stage.deps for stage in read_pipeline(root)}
    named = files_named_in_params(root).items()
    missing = [f"{path} of {stage}" for stage, paths in named for path in paths if path not in listed.get(stage, [])]
    if missing:
        raise UserError(
            f"{DVC_YAML} does not list {', '.join(missing)}, so the stage will refuse to run: run `reprotune deps "
            "--fix`"
        )
    return "lists every local file that is named"


def _dvc() -> str:
    """Look at the two files of DVC that a kill can leave in a state that DVC does not get over."""
    try:
        holders = json.loads(RWLOCK.read_text(encoding="utf-8")) if RWLOCK.exists() else {}
        fault = "" if _is_rwlock(holders) else "format error"
    except (ValueError, RecursionError):
        fault = "JSON structure is corrupted"
    if fault:
        raise UserError(
            f"{RWLOCK} is damaged, mostly because DVC was killed while it wrote it, and stops every dvc command "
            f'("{fault}"): make sure that no DVC runs here, and delete it (`rm {RWLOCK}`)'
        )
    read_lock(Path())
    return "no lock is damaged"


def _is_rwlock(holders: Any) -> bool:
    """Tell whether this is what DVC keeps: who reads and who writes each path."""
    return (
        isinstance(holders, dict)
        and holders.keys() <= {"read", "write"}
        and all(isinstance(paths, dict) for paths in holders.values())
    )
