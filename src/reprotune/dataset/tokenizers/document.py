"""The two files that describe a tokenizer in Hugging Face layout, tokenizer.json and tokenizer_config.json, as read.

What is read here needs no tokenizer: which tokens are structure, which of them begin and end a text, and the template
of a chat.
"""

import json
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from reprotune.dataset.tokenizers.escapes import ESCAPE, HARMLESS, Escapes
from reprotune.errors import UserError
from reprotune.files import decoded, read_bytes

TOKENIZER = "tokenizer.json"
TOKENIZER_CONFIG = "tokenizer_config.json"

NAMED_TOKENS = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
"""Keys of tokenizer_config.json that a chat template may use, as in transformers."""
DEFAULT_TEMPLATE = "default"
TAG = re.compile(r"<.+>|\[.+\]", re.DOTALL)
"""How an added token is spelled that is structure although it is not marked as special, e.g. `<tool_call>`."""


@dataclass(frozen=True)
class TokenizerFiles:
    """What tokenizer.json (`document`) and tokenizer_config.json (`settings`) of a folder hold."""

    folder: Path
    document: dict[str, Any]
    settings: dict[str, Any]

    @cached_property
    def control(self) -> dict[str, int]:
        """The tokens that only a template may write: spelling -> id.

        They are the special ones, and other added tokens that are spelled as tags; added words and runs of blanks are
        vocabulary like any other.
        """
        control = {
            token["content"]: token["id"]
            for token in self.document["added_tokens"]
            if token["special"] or TAG.fullmatch(token["content"])
        }
        vocabulary = self.document["model"].get("vocab")
        for name in ("bos_token", "eos_token"):  # which transformers makes special, too
            token = self.named.get(name)
            if token is not None and isinstance(vocabulary, dict) and token in vocabulary:
                control.setdefault(token, vocabulary[token])
        return control

    @cached_property
    def escapes(self) -> Escapes:
        """What keeps rows from spelling a control token; raises `UserError` where one cannot be told from an escape."""
        for token in self.control:
            if ESCAPE in token or HARMLESS in token:
                raise UserError(
                    f"{self.folder / TOKENIZER}: the special token {token!r} holds a character by which Reprotune "
                    "tells text from special tokens: choose another base model"
                )
        return Escapes(self.control)

    @property
    def named(self) -> dict[str, str]:
        """The spellings of the tokens that have a name: `bos_token`, `eos_token`, ..."""
        found = {name: spelling(self.settings.get(name)) for name in NAMED_TOKENS}
        return {name: token for name, token in found.items() if token is not None}

    @property
    def beginning_of_text(self) -> str:
        """The token that the tokenizer puts before every text; empty where it adds none."""
        adds = self.settings.get("add_bos_token")
        if adds is False:
            return ""
        if adds is True and "bos_token" in self.named:
            return self.named["bos_token"]
        return _first_of_template(self.document.get("post_processor"))

    @property
    def end_of_text(self) -> str:
        """The token that ends a text; raises `UserError` where none is named."""
        if "eos_token" not in self.named:
            raise UserError(
                f"{self.folder / TOKENIZER_CONFIG} names no eos_token, so nothing would end an answer: add it, e.g. "
                '"eos_token": "</s>"'
            )
        return self.named["eos_token"]

    @property
    def chat_template(self) -> str | None:
        """The source of the chat template, or of the one named `default` where there are several; None without one."""
        template = self.settings.get("chat_template")
        if isinstance(template, list):
            named = {entry.get("name"): entry.get("template") for entry in template if isinstance(entry, dict)}
            template = named.get(DEFAULT_TEMPLATE)
        return template if isinstance(template, str) else None


def read_tokenizer_files(folder: Path) -> TokenizerFiles:
    """Read a folder's tokenizer.json and tokenizer_config.json; raises `UserError` where they are no such files."""
    return TokenizerFiles(folder, read_document(folder), read_object(folder / TOKENIZER_CONFIG))


def read_document(folder: Path) -> dict[str, Any]:
    """Read a folder's tokenizer.json; raises `UserError` unless its parts that are used here are of the right form."""
    document = read_object(folder / TOKENIZER)
    added = document.setdefault("added_tokens", [])
    well_formed = isinstance(added, list) and all(
        isinstance(token, dict)
        and isinstance(token.get("content"), str)
        and token["content"]
        and isinstance(token.get("id"), int)
        and isinstance(token.get("special"), bool)
        for token in added
    )
    model = document.get("model")
    if isinstance(model, dict) and "merges" in model:
        vocabulary = model.get("vocab")
        well_formed &= isinstance(vocabulary, dict) and all(isinstance(place, int) for place in vocabulary.values())
        well_formed &= isinstance(model["merges"], list)
    if not well_formed or not isinstance(model, dict):
        raise UserError(f"{folder / TOKENIZER} is not a file of the library tokenizers: fetch it again")
    return document


def read_object(path: Path) -> dict[str, Any]:
    """Return the JSON object in one of the tokenizer's files; raises `UserError` for anything else."""
    remedy = "a base model needs its tokenizer, so copy or fetch the file again"
    try:
        value = json.loads(decoded(read_bytes(path, remedy), str(path), remedy))
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError) as error:  # also for half a surrogate pair
        raise UserError(f"{path} is not valid JSON ({error}): {remedy}") from error
    if not isinstance(value, dict):
        raise UserError(f"{path} is not a JSON object: {remedy}")
    return value


def spelling(token: Any) -> str | None:
    """Return how a token of tokenizer_config.json is spelled, which holds it as text or as an object with its flags."""
    found = token.get("content") if isinstance(token, dict) else token
    return found if isinstance(found, str) and found else None


def _first_of_template(processor: Any) -> str:
    """Return the token with which a post-processor begins a single text; empty where it begins with the text."""
    if not isinstance(processor, dict):
        return ""
    if processor.get("type") == "Sequence":
        return next(filter(None, map(_first_of_template, processor.get("processors") or [])), "")
    if processor.get("type") != "TemplateProcessing":
        return ""
    first = (processor.get("single") or [{}])[0]
    return str(first.get("SpecialToken", {}).get("id", ""))
