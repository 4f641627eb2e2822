"""The models that can be asked: the base model and the fine-tuned one of the workspace, or that of a Git revision.

With a model come its tokenizer and its prompts, as dvc.lock says that the training text was written: an edit of
params.yaml changes them only once the model is trained anew.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reprotune.chat.prompts import Prompts
from reprotune.compare.revision import WORKSPACE, Revision
from reprotune.compute.device import Compute
from reprotune.dataset.templates.formatter import load_formatter
from reprotune.dataset.tokenizers.document import TOKENIZER, TOKENIZER_CONFIG, read_tokenizer_files
from reprotune.dataset.tokenizers.encoding import Tokenizer
from reprotune.dataset.tokenizers.load import load_tokenizer
from reprotune.errors import UserError
from reprotune.model.checkpoint import CONFIG, WEIGHTS
from reprotune.model.inference import prepare_for_inference
from reprotune.model.network import Network
from reprotune.model.weights import load_model
from reprotune.params.sections.format import FormatParams
from reprotune.params.values import PARAMS_FILE

BASE, FINETUNED = "base", "finetuned"
BASE_FOLDER, MODEL_FOLDER = "data/base", "data/model"
RUN = "run `dvc repro`, or `dvc pull` where somebody has pushed the results"


@dataclass(frozen=True)
class Model:
    """A model that can be asked, ready to predict."""

    name: str
    network: Network
    tokenizer: Tokenizer
    prompts: Prompts

    @property
    def context(self) -> int:
        """Most tokens of a prompt with its answer."""
        return self.network.config.n_positions


def open_model(name: str, compute: Compute, root: Path = Path()) -> Model:
    """Load `base`, `finetuned`, or the fine-tuned model of a Git revision or of another checkout's folder.

    Files of a revision are read from DVC's cache or a remote. Raises `UserError` where they cannot be had.
    """
    revision = Revision(WORKSPACE if name in (BASE, FINETUNED) else name, root)
    with tempfile.TemporaryDirectory(prefix="reprotune-model-") as folder:
        scratch = Path(folder)
        if revision.commit is None:
            tokenizer_folder = revision.root / BASE_FOLDER
            if not (tokenizer_folder / TOKENIZER).exists():
                raise UserError(f"{BASE_FOLDER} with the tokenizer is not here: {RUN}")
        else:
            tokenizer_folder = scratch / BASE_FOLDER
            _place(revision, scratch, BASE_FOLDER, TOKENIZER, TOKENIZER_CONFIG)
        if name == BASE:
            weights = tokenizer_folder
        else:
            weights = scratch / MODEL_FOLDER
            _place(revision, scratch, MODEL_FOLDER, CONFIG, WEIGHTS)
        tokenizer = load_tokenizer(tokenizer_folder)
        prompts = _prompts(revision, tokenizer_folder, tokenizer, scratch)
        network = load_model(weights, compute.device)
    prepare_for_inference(network, compute)
    if tokenizer.vocabulary_size > network.config.vocab_size:
        raise UserError(f"{name}: the tokenizer has more tokens than the model: {RUN}")
    return Model(name, network, tokenizer, prompts)


def _place(revision: Revision, scratch: Path, folder: str, *files: str) -> None:
    for file in files:
        revision.place(f"{folder}/{file}", scratch / folder / file, scratch)


def _prompts(revision: Revision, base: Path, tokenizer: Tokenizer, scratch: Path) -> Prompts:
    params = FormatParams.parse("format", _format_params(revision))
    template = params.template
    if params.file is not None and revision.commit is not None:
        template = str(scratch / "template.jinja")
        Path(template).write_text(revision.text(params.template), encoding="utf-8")
    elif params.file is not None:
        template = str(revision.root / params.file)
    formatter = load_formatter(template, read_tokenizer_files(base), params.response_header, params.train_on)
    return Prompts(params.template, formatter, tokenizer)


def _format_params(revision: Revision) -> Any:
    """Return the section `format` with which the training text was written; that of params.yaml before any was."""
    locked = revision.lock.get("format", {}).get("params", {}).get(PARAMS_FILE.name, {})
    return locked["format"] if "format" in locked else (revision.yaml(PARAMS_FILE.name) or {}).get("format")
