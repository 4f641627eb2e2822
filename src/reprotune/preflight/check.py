"""What can be known before anything costly runs: the whole of params.yaml, and the files and services that it names."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from reprotune.dataset.readers import read_rows
from reprotune.dataset.records import Normalizer
from reprotune.dataset.templates.formatter import CHAT, load_formatter
from reprotune.dataset.tokenizers.document import TokenizerFiles
from reprotune.dataset.tokenizers.files import gathered_settings
from reprotune.errors import UserError
from reprotune.judging.run import CLIENTS
from reprotune.model.checkpoint import CONFIG, GPT2_SIZES, check_rank, read_config
from reprotune.model.source import check_checkpoint, folder_files
from reprotune.params.document import Document
from reprotune.params.values import PARAMS_FILE

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
        _attempted("template", lambda: _template(params)),
        _attempted("judge", lambda: _judge(params)),
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


def _template(params: Document) -> str:
    """Read the template; the base model's own only where that is a local folder."""
    template, folder = params.format.template, params.fetch.base.folder
    if template == CHAT and (folder is None or not folder.is_dir()):
        return "the base model's own chat template, once that is fetched"
    settings = gathered_settings(folder) if template == CHAT and folder is not None else {}
    base = TokenizerFiles(folder or Path(), {"added_tokens": [], "model": {}}, settings)
    load_formatter(template, base, params.format.response_header, params.format.train_on)
    return template


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


def _dvc() -> str:
    """Look for the one file of DVC that a kill can leave in a state that DVC does not get over."""
    try:
        if RWLOCK.exists():
            json.loads(RWLOCK.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(
            f'{RWLOCK} is damaged, because DVC was killed while it wrote it, and stops every dvc command ("JSON '
            f'structure is corrupted"): make sure that no DVC runs here, and delete it (`rm {RWLOCK}`)'
        ) from error
    return "no lock is damaged"
