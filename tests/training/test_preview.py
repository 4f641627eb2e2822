"""The row that is shown before training."""

import pytest

from reprotune.dataset.collate import TokenRows
from reprotune.dataset.tokenizers.gpt2 import GPT2Tokenizer, encode_batch
from reprotune.training.preview import print_masked_row

HOSTILE = "wipe \x1b[2J title \x1b]0;owned\x07 back \x08\x08 zero \x00 delete \x7f"


def test_control_codes_of_a_dataset_do_not_reach_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    rows = TokenRows.from_lists([tuple(map(list, encode_batch([f"say {HOSTILE}", HOSTILE])))])
    print_masked_row(rows, 0, mask_instruction=True, tokenizer=GPT2Tokenizer())
    said = capsys.readouterr().err
    assert said.count("⟨U+001B⟩[2J") == 2
    assert not {character for character in said if ord(character) < 32 or ord(character) == 127} - {"\n"}
