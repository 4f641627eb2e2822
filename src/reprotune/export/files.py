"""What data/export/gguf holds: the model for other programs, how they should use it, and whether it works there."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reprotune.artifacts import write_json, write_text
from reprotune.compute.device import Compute
from reprotune.dataset.templates.chat import load_chat_template
from reprotune.dataset.templates.messages import CHAT_TEMPLATE, MessageForm
from reprotune.dataset.tokenizers.document import TokenizerFiles
from reprotune.dataset.tokenizers.encoding import Tokenizer
from reprotune.dataset.tokenizers.files import GENERATION_CONFIG, decoding_settings
from reprotune.errors import UserError
from reprotune.export import llama_cpp
from reprotune.export.modelfile import Turns, modelfile, turns_of
from reprotune.export.parity import Asked, compared, our_answers
from reprotune.export.weights import write_gguf
from reprotune.model.inference import prepare_for_inference
from reprotune.model.network import Network
from reprotune.params.sections.export import ExportParams, Quantisation
from reprotune.scratch import file_sha256

MODELFILE = "Modelfile"


def weights_name(quantisation: Quantisation) -> str:
    """Return the name of a GGUF file."""
    return f"model-{quantisation}.gguf"


@dataclass(frozen=True)
class Exported:
    """A model with all that other programs have to know of it."""

    model: Network
    files: TokenizerFiles
    tokenizer: Tokenizer
    form: MessageForm
    most_tokens: int
    """Longest answer, in tokens."""

    @property
    def ends(self) -> list[str]:
        """The tokens that end an answer, as they are spelled."""
        return [self.tokenizer.decode([end]) for end in self.tokenizer.end_of_text]

    def turns(self) -> Turns | None:
        """Return what the chat template writes around messages; None where it does more, or is refused."""
        if self.form.refused is not None:
            return None
        template = load_chat_template(CHAT_TEMPLATE, self.form.source, self.files.named, self.files.escapes)
        return turns_of(template, self.files.beginning_of_text)


def write_files(exported: Exported, params: ExportParams, folder: Path) -> dict[Quantisation, str]:
    """Write all files but the findings; returns why a GGUF file could not be written, by its quantisation.

    The model is done, so what cannot be written is left out and said, and stops nothing.
    """
    tokenizer = exported.tokenizer
    decoding = decoding_settings(tokenizer.end_of_text, tokenizer.beginning_of_text)
    write_json(folder / GENERATION_CONFIG, decoding | {"max_new_tokens": exported.most_tokens})
    write_text(folder / CHAT_TEMPLATE, exported.form.source)
    omitted: dict[Quantisation, str] = {}
    for quantisation in params.written:
        target = folder / weights_name(quantisation)
        try:
            write_gguf(
                exported.model, exported.files, tokenizer.end_of_text, exported.form.source, quantisation, target
            )
        except UserError as error:
            omitted[quantisation] = str(error)
    if written := [quantisation for quantisation in params.written if quantisation not in omitted]:
        context = exported.model.config.n_positions
        text = modelfile(
            weights_name(written[0]),
            exported.turns(),
            exported.ends,
            context,
            exported.most_tokens,
            exported.form.refused,
        )
        write_text(folder / MODELFILE, text)
    return omitted


def findings(
    exported: Exported, rows: Sequence[Asked], omitted: dict[Quantisation, str], folder: Path, compute: Compute
) -> dict[str, Any]:
    """Return parity.json for what `write_files` left in `folder`; the model is made ready to predict on the way."""
    written = sorted(folder.glob("*.gguf"))
    why = _unchecked(exported, rows, written)
    shares: dict[str, dict[str, float]] = {}
    if why is None:
        prepare_for_inference(exported.model, compute)
        answers = our_answers(exported.model, rows, exported.tokenizer, exported.most_tokens)
        for path in written:
            with llama_cpp.serving(path, exported.model.config.n_positions) as server:
                beginning = exported.files.beginning_of_text
                shares[path.name] = compared(rows, answers, server, beginning, exported.most_tokens)
    return {
        "checked_with": None if why else llama_cpp.version(),
        "why_not": why,
        "rows": 0 if why else len(rows),
        "files": {
            path.stem.removeprefix("model-"): {
                "bytes": path.stat().st_size,
                "sha256": file_sha256(path),
                **shares.get(path.name, {}),
            }
            for path in written
        },
        "omitted": omitted,
    }


def _unchecked(exported: Exported, rows: Sequence[Asked], written: Sequence[Path]) -> str | None:
    """Return why nothing can be checked; None where it can."""
    if not written:
        return "no GGUF file was written"
    if llama_cpp.version() is None:
        return f"llama.cpp is not installed here: run `pip install {llama_cpp.PACKAGE}` to have the files checked"
    if exported.form.refused is not None:
        return exported.form.refused
    return None if rows else "no test row can be asked in messages"
