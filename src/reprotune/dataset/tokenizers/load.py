"""The tokenizer of a folder."""

import json
from pathlib import Path

from reprotune.dataset.tokenizers.document import TokenizerFiles, read_tokenizer_files
from reprotune.dataset.tokenizers.encoding import Tokenizer
from reprotune.dataset.tokenizers.gpt2 import GPT2Tokenizer
from reprotune.dataset.tokenizers.gpt2_files import (
    END_OF_TEXT,
    END_OF_TEXT_NAME,
    VOCABULARY_SIZE,
    gpt2_merges,
    vocabulary_file,
)
from reprotune.dataset.tokenizers.hugging_face import HuggingFaceTokenizer


def load_tokenizer(folder: Path) -> Tokenizer:
    """Return the tokenizer that tokenizer.json and tokenizer_config.json of a folder describe.

    GPT-2's own runs on tiktoken, in a fraction of the time. Raises `UserError` for a tokenizer that cannot be used.
    """
    files = read_tokenizer_files(folder)
    return GPT2Tokenizer() if is_gpt2(files) else HuggingFaceTokenizer(files)


def is_gpt2(files: TokenizerFiles) -> bool:
    """Tell whether a tokenizer gives the ids of GPT-2's for every text, and ends it in the same way."""
    model, pre_tokenizer = files.document["model"], files.document.get("pre_tokenizer")
    vocabulary = model.get("vocab")
    return (
        isinstance(vocabulary, dict)
        and len(vocabulary) == VOCABULARY_SIZE
        and vocabulary.get(END_OF_TEXT_NAME) == END_OF_TEXT
        and files.control == {END_OF_TEXT_NAME: END_OF_TEXT}
        and len(files.document["added_tokens"]) == 1
        and files.named.get("eos_token") == END_OF_TEXT_NAME
        and not files.beginning_of_text
        and files.document.get("normalizer") is None
        and isinstance(pre_tokenizer, dict)
        and pre_tokenizer.get("type") == "ByteLevel"
        and not pre_tokenizer.get("add_prefix_space")
        and pre_tokenizer.get("use_regex", True) is True
        and vocabulary == json.loads(vocabulary_file("encoder.json"))
        and [merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"]] == gpt2_merges()
    )
