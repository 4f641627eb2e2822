"""A tokenizer as GGUF's metadata: the tokens, how they are merged, and by which rule text is cut before that.

llama.cpp knows the rules that cut text for byte pairs by name (`tokenizer.ggml.pre`). A tokenizer whose rule has no
name among those in `PRE_TOKENS` is refused: under another rule the model would read other tokens than it was trained
on. Sentence pieces have a form of their own (`pieces`).
"""

from collections.abc import Callable
from typing import Any

import gguf

from reprotune.dataset.tokenizers.document import TOKENIZER, TokenizerFiles
from reprotune.dataset.tokenizers.gguf import PRE_TOKENS
from reprotune.errors import UserError
from reprotune.export.pieces import is_sentence_pieces, piece_kind, piece_scores, puts_blank_first
from reprotune.model.config import ModelConfig

UNUSED = "[PAD{}]"
"""How llama.cpp's converter calls rows of the embedding that stand for no token."""
INSTEAD = "use data/model with transformers or vLLM, and set export.formats to []"


def add_vocabulary(
    writer: gguf.GGUFWriter, files: TokenizerFiles, config: ModelConfig, ends: tuple[int, ...], chat_template: str
) -> None:
    """Write the keys `tokenizer.*`; `ends` are the ids that end a text.

    Raises `UserError` for a tokenizer that llama.cpp would not apply as it was trained.
    """
    tokens, kinds = _tokens(files, config.vocab_size)
    if is_sentence_pieces(files):
        blank_first, scores = puts_blank_first(files, INSTEAD), piece_scores(files, INSTEAD)
        writer.add_tokenizer_model("llama")
        writer.add_tokenizer_pre("default")
        writer.add_token_scores([scores.get(token, 0.0) for token in tokens])
        writer.add_add_space_prefix(blank_first)
    else:
        name, merges = pre_tokens_name(files), files.document["model"]["merges"]
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre(name)
        writer.add_token_merges([merge if isinstance(merge, str) else " ".join(merge) for merge in merges])
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    place = {token: number for number, token in enumerate(tokens)}
    named: dict[str, Callable[[int], None]] = {
        "bos_token": writer.add_bos_token_id,
        "unk_token": writer.add_unk_token_id,
        "pad_token": writer.add_pad_token_id,
    }
    for key, add in named.items():
        if (token := files.named.get(key)) in place:
            add(place[str(token)])
    # llama.cpp ends an answer at each of the three, whatever they were called in training.
    for end, add in zip(
        ends, (writer.add_eos_token_id, writer.add_eot_token_id, writer.add_eom_token_id), strict=False
    ):
        add(end)
    writer.add_add_bos_token(bool(files.beginning_of_text))
    writer.add_chat_template(chat_template)


def pre_tokens_name(files: TokenizerFiles) -> str:
    """Return llama.cpp's name of the rule by which a tokenizer cuts text; raises `UserError` where it has none."""
    document = files.document
    model = document["model"]
    for name, rule in PRE_TOKENS.items():
        if (
            _plain(document.get("pre_tokenizer")) == _plain(rule.pre_tokenizer)
            and _plain(document.get("normalizer")) == _plain(rule.normalizer)
            and bool(model.get("ignore_merges")) == rule.whole_words
        ):
            return name
    raise UserError(
        f"{files.folder / TOKENIZER} cuts text by a rule that Reprotune knows no name of llama.cpp for (there are "
        f"{', '.join(dict.fromkeys(PRE_TOKENS))}), so a GGUF file would read other tokens than were trained: {INSTEAD}"
    )


def _plain(part: Any) -> Any:
    """Return a part of a tokenizer.json without what changes no token, and with what is understood."""
    if isinstance(part, list):
        return [_plain(one) for one in part]
    if not isinstance(part, dict):
        return part
    if part.get("type") == "Sequence":
        parts = _plain(part.get("pretokenizers") or part.get("normalizers") or [])
        return parts[0] if len(parts) == 1 else parts
    kept = {key: _plain(value) for key, value in part.items() if key != "trim_offsets"}
    return {"use_regex": True, "add_prefix_space": True, **kept} if part.get("type") == "ByteLevel" else kept


def _tokens(files: TokenizerFiles, size: int) -> tuple[list[str], list[gguf.TokenType]]:
    """Return the token of each row of the embedding, and its kind."""
    tokens = [UNUSED.format(place) for place in range(size)]
    kinds = [gguf.TokenType.UNUSED] * size
    pieces = is_sentence_pieces(files)
    for token, place in files.document["model"]["vocab"].items():
        tokens[place], kinds[place] = token, piece_kind(token, files) if pieces else gguf.TokenType.NORMAL
    for added in files.document["added_tokens"]:
        place = added["id"]
        tokens[place] = added["content"]
        if kinds[place] != gguf.TokenType.UNKNOWN:
            kinds[place] = gguf.TokenType.CONTROL if added["special"] else gguf.TokenType.USER_DEFINED
    for key in ("bos_token", "eos_token"):  # which transformers makes special, too
        if (token := files.named.get(key)) in tokens:
            kinds[tokens.index(str(token))] = gguf.TokenType.CONTROL
    return tokens, kinds
