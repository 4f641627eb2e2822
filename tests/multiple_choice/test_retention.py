"""Plain text: what is read of a file, and nats that are those of reading a document as a whole."""

import math
from pathlib import Path

import pytest
import torch

from reprotune.dataset.tokenizers.gpt2 import GPT2Tokenizer
from reprotune.errors import UserError
from reprotune.model.network import Network
from reprotune.multiple_choice.retention import read_documents, score_documents, windows


def test_each_line_that_is_not_blank_is_a_document(tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_bytes("One.\r\n\n \t\n Two,\u2028still two.\nThree".encode())
    assert read_documents(path) == ["One.", " Two,\u2028still two.", "Three"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "is missing: correct benchmark.text"),
        (b"\n \n", "holds no text: correct benchmark.text"),
        (b"good\nbad \xff", "line 2 is not UTF-8 text"),
    ],
)
def test_a_faulty_file_is_one_sentence(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "text.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=message):
        read_documents(path)


def test_nats_tokens_and_bytes(network: Network) -> None:
    documents = ["Übung macht den Meister.", "One.", "One."]
    rows = score_documents(network, GPT2Tokenizer(), documents, "text")
    ids = GPT2Tokenizer().encode_batch(documents[:1])[0]
    with torch.inference_mode():
        logits = network.logits(network(torch.tensor([[50256, *ids[:-1]]])))[0].double().log_softmax(dim=1)
    expected = -sum(logits[place, token].item() for place, token in enumerate(ids))
    assert rows[0]["nats"] == pytest.approx(expected, abs=1e-4)
    assert (rows[0]["bytes"], rows[0]["tokens"]) == (25, len(ids))
    assert math.isclose(rows[1]["nats"], rows[2]["nats"], abs_tol=1e-4)
    assert rows[2]["id"] == f"{rows[1]['id']}-2"


def test_windows_predict_every_token_once() -> None:
    tokens = list(range(100, 110))
    found = list(windows(7, tokens, 4))
    assert [row.context for row in found] == [[7], [103], [105, 106, 107]]
    assert [row.continuations for row in found] == [[tokens[:4]], [tokens[4:8]], [tokens[8:]]]
    assert all(len(row.context) + len(row.continuations[0]) <= 5 for row in found)
