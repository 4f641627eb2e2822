"""What can be known before anything costly runs: the whole of params.yaml, and the files and services that it names."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reprotune.console import counted
from reprotune.dataset.sources.located import local_files
from reprotune.dataset.sources.readers import read_rows
from reprotune.dataset.sources.records import Normalizer
from reprotune.dataset.sources.shapes import columns_read
from reprotune.dataset.templates.formatter import CHAT, load_formatter
from reprotune.dataset.tokenizers.document import TokenizerFiles
from reprotune.dataset.tokenizers.files import gathered_settings
from reprotune.errors import UserError
from reprotune.judging.run import CLIENTS
from reprotune.model.checkpoint import check_rank
from reprotune.model.config import GPT2_SIZES
from reprotune.model.source import local_config
from reprotune.multiple_choice.items import ItemReader
from reprotune.multiple_choice.sources import KEY as BENCHMARK_KEY
from reprotune.multiple_choice.sources import local_item_files
from reprotune.params.document import Document
from reprotune.params.sections.dataset import DatasetParams, SourceParams
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
        _attempted("benchmark", lambda: _benchmark(params)),
        _attempted("template", lambda: _template(params)),
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
    """Read the first rows of every local source and map their columns."""
    dataset = params.fetch.dataset
    return "; ".join(_source(dataset, key, source) for key, source in dataset.keyed_sources.items())


def _source(dataset: DatasetParams, key: str, source: SourceParams) -> str:
    if source.path is None:
        return f"{source.source} will be downloaded"
    normalizer = Normalizer(dataset, key, source)
    first, *others = local_files(key, source.path)
    name = source.source if first == source.path else str(first)
    for rows in read_rows(first, name, source.format, columns_read(source.shape, source.columns), key):
        normalizer.normalize(rows)
        break
    counts = normalizer.finish()
    shape = f", shape {counts['shape']}" if "shape" in counts else ""
    more = f" ({counted(len(others) + 1, 'file')})" if others else ""
    if counts["records"] > counts["rows"]:
        return f"{counts['records']} records in the first {counts['rows']} rows of {source.source}{more}{shape}"
    return f"{counts['records']} of the first {counts['rows']} rows of {source.source}{more} are usable{shape}"


def _base(params: Document) -> str:
    """Read the config and the headers of a local checkpoint, and compare its context with the rows' limit."""
    base = params.fetch.base
    if base.path is None:
        if base.source not in GPT2_SIZES:
            return f"{base.source} will be downloaded"
        config = GPT2_SIZES[base.source]
    else:
        config = local_config(base.path)
    if params.finetune.method == "lora":
        check_rank(params.finetune.lora.rank, config.n_embd)
    sizes = f"{config.n_layer} layers of width {config.n_embd}, {config.n_positions} positions"
    seen = f"{base.source}, {config.family}, {sizes}"
    if params.tokenize.max_length > config.n_positions + 1:
        seen += f"; tokenize.max_length {params.tokenize.max_length} is more, so a row that needs them stops finetune"
    return seen


def _benchmark(params: Document) -> str:
    """Read the first rows of every local file of items, and look for the plain text."""
    text = params.benchmark.text_file
    if text is not None and not text.is_file():
        raise UserError(f"{text} is not a file: set benchmark.text to embedded, to the path of a text, or to null")
    benchmark = params.fetch.benchmark
    source = benchmark.rows
    if source is None:
        return "none"
    if source.path is None:
        return f"{source.source} will be downloaded"
    reader = ItemReader(benchmark)
    with local_item_files(benchmark, source, source.path) as files:
        for file in files:
            reader.begin_file(file)
            for rows in read_rows(file.path, file.name, file.format, reader.needed(), BENCHMARK_KEY, reader.named):
                reader.read(rows)
                break
        reader.check()
    seen = reader.summary()
    return (
        f"{counted(seen['items'], 'item')} and {counted(seen['shots'], 'example')} in the first rows of "
        f"{counted(len(files), 'file')}"
    )


def _template(params: Document) -> str:
    """Read the template; the base model's own only where that is a local folder."""
    template, folder = params.format.template, params.fetch.base.path
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


def _deps(root: Path) -> str:
    """Compare the local files that are named with the deps in dvc.yaml: a stage refuses what DVC cannot follow."""
    if not (root / DVC_YAML).exists():
        return "not here"
    listed = {stage.name: stage.deps for stage in read_pipeline(root)}
    named = [(stage, paths) for stage, paths in files_named_in_params(root).items() if stage in listed]
    missing = [f"{path} of {stage}" for stage, paths in named for path in paths if path not in listed[stage]]
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
