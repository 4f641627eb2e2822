"""Sentence pieces as GGUF metadata: llama.cpp reads the ids that were trained; anything else is refused."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import pytest
import tokenizers

from reprotune.dataset.tokenizers.document import read_tokenizer_files
from reprotune.dataset.tokenizers.load import load_tokenizer
from reprotune.errors import UserError
from reprotune.export import llama_cpp
from reprotune.export.pieces import METASPACE, PREPENDED, REPLACED, piece_kind, piece_scores, puts_blank_first
from reprotune.export.weights import write_gguf
from tests.builders.llama_cpp import needs_llama_cpp
from tests.builders.tokenizers import TEXTS
from tests.export.conftest import Ready

BLANKS = [" one blank", "  two", "none", "\n  a line", "a  b   c ", "\ttab", "\u2581 itself", "", " "]
RULES: dict[str, dict[str, Any]] = {
    "before the first text": {"normalizer": None, "pre_tokenizer": METASPACE | {"prepend_scheme": "first"}},
    "never": {"normalizer": None, "pre_tokenizer": METASPACE | {"prepend_scheme": "never"}},
    "before each text": {"normalizer": PREPENDED, "pre_tokenizer": None},
    "replaced alone": {"normalizer": REPLACED, "pre_tokenizer": None},
}


def changed(folder: Path, to: Path, **changes: Any) -> Path:
    shutil.copytree(folder, to)
    document = json.loads((to / "tokenizer.json").read_text(encoding="utf-8"))
    model = document["model"] | changes.pop("model", {})
    (to / "tokenizer.json").write_text(json.dumps(document | changes | {"model": model}), encoding="utf-8")
    return to


@needs_llama_cpp
@pytest.mark.parametrize("rule", RULES)
def test_llama_cpp_reads_the_ids_that_were_trained(
    rule: str, spm_folder: Path, prepared: Callable[..., Ready], tmp_path: Path
) -> None:
    exported = prepared("llama_pieces", trained=False).exported
    folder = changed(spm_folder, tmp_path / "base", **RULES[rule])
    files, ours = read_tokenizer_files(folder), load_tokenizer(folder)
    path = tmp_path / "model.gguf"
    write_gguf(exported.model, files, ours.end_of_text, exported.form.source, "f16", path)
    with llama_cpp.serving(path, 256) as server:
        for text in [*TEXTS[:6], *BLANKS]:
            assert server.ids(text) == ours.encode_formatted([f"<s>{files.escapes.escaped(text)}"])[0], text


def test_scores_are_the_order_of_merging(spm_folder: Path) -> None:
    files = read_tokenizer_files(spm_folder)
    scores = piece_scores(files, "")
    merged = [left + right for left, right in files.document["model"]["merges"]]
    assert sorted(scores, key=scores.__getitem__, reverse=True) == list(dict.fromkeys(merged))


def test_kinds(spm_folder: Path) -> None:
    files = read_tokenizer_files(spm_folder)
    kinds = {token: piece_kind(token, files) for token in ("<unk>", "<0x0A>", "the", "<0x0a>")}
    assert list(kinds.values()) == [
        gguf.TokenType.UNKNOWN,
        gguf.TokenType.BYTE,
        gguf.TokenType.NORMAL,
        gguf.TokenType.NORMAL,
    ]


def test_pairs_in_one_text(spm_folder: Path, tmp_path: Path) -> None:
    """Older files have a merge as one text."""
    merges = [" ".join(pair) for pair in read_tokenizer_files(spm_folder).document["model"]["merges"]]
    older = read_tokenizer_files(changed(spm_folder, tmp_path / "older", model={"merges": merges}))
    assert piece_scores(older, "") == piece_scores(read_tokenizer_files(spm_folder), "")


def test_what_llama_cpp_would_merge_otherwise_is_refused(spm_folder: Path, tmp_path: Path) -> None:
    merges = read_tokenizer_files(spm_folder).document["model"]["merges"]
    fewer = read_tokenizer_files(changed(spm_folder, tmp_path / "fewer", model={"merges": merges[:-1]}))
    with pytest.raises(UserError, match=r"does not merge the first two, .* than were trained: do that"):
        piece_scores(fewer, "do that")


@pytest.mark.parametrize(
    "rule",
    [
        {"normalizer": None, "pre_tokenizer": METASPACE | {"prepend_scheme": "always"}},
        {"normalizer": None, "pre_tokenizer": METASPACE | {"prepend_scheme": "first", "split": True}},
        {"normalizer": {"type": "NFC"}, "pre_tokenizer": None},
        {"normalizer": None, "pre_tokenizer": None},
    ],
)
def test_blanks_by_another_rule_are_refused(rule: dict[str, Any], spm_folder: Path, tmp_path: Path) -> None:
    tokenizers.Tokenizer.from_file(str(changed(spm_folder, tmp_path / "base", **rule) / "tokenizer.json"))
    with pytest.raises(UserError, match=r"puts blanks before text by a rule .* than were trained: do that"):
        puts_blank_first(read_tokenizer_files(tmp_path / "base"), "do that")


def test_before_the_first_text_is_nowhere_only_where_a_token_begins_it(spm_folder: Path, tmp_path: Path) -> None:
    assert puts_blank_first(read_tokenizer_files(spm_folder), "") is False
    without = read_tokenizer_files(changed(spm_folder, tmp_path / "base", post_processor=None))
    assert without.beginning_of_text == ""
    with pytest.raises(UserError, match="puts blanks before text by a rule"):
        puts_blank_first(without, "")
