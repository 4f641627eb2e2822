"""Whatever bytes a safetensors header or a GGUF file consists of, reading ends in a model or in one sentence."""

import json
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from reprotune.errors import UserError
from reprotune.model.config import ModelConfig
from reprotune.model.gguf import read_gguf
from reprotune.model.network import Network
from reprotune.model.weights import load_model, save_model
from tests.builders.fuzzing import cases, edited, edits, values

WIDTH, INNER, VOCABULARY = 32, 32, 12
HEADER_BYTES = 1500
"""Of either file, so that edits hit what is parsed."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny GPT-2 in Hugging Face layout."""
    model = Network(ModelConfig(n_layer=1, n_head=2, n_embd=4, n_positions=8, vocab_size=11))
    model.initialize(torch.Generator().manual_seed(0))
    path = tmp_path_factory.mktemp("folder")
    save_model(model, path)
    return path


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A tiny Llama in a GGUF file."""
    path = tmp_path_factory.mktemp("packed") / "x.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(8)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(INNER)
    writer.add_block_count(1)
    writer.add_head_count(2)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_token_list([f"t{number}" for number in range(VOCABULARY)])
    names = ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")
    shapes: dict[str, tuple[int, ...]] = {"token_embd": (VOCABULARY, WIDTH), "output_norm": (WIDTH,)}
    shapes |= {f"blk.0.{name}": (WIDTH,) for name in ("attn_norm", "ffn_norm")}
    shapes |= {f"blk.0.{name}": (WIDTH, WIDTH) for name in names}
    for name, shape in shapes.items():
        writer.add_tensor(f"{name}.weight", np.ones(shape, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path.read_bytes()


def load(path: Path, content: bytes, folder: Path) -> None:
    (path / "config.json").write_bytes((folder / "config.json").read_bytes())
    (path / "model.safetensors").write_bytes(content)
    try:
        load_model(path)
    except UserError as error:
        assert 0 < len(str(error)) < 2000


def test_the_files_can_be_read(folder: Path, packed: bytes, tmp_path: Path) -> None:
    load_model(folder)
    (tmp_path / "x.gguf").write_bytes(packed)
    assert read_gguf(tmp_path / "x.gguf").config.vocab_size == VOCABULARY


@cases(300)
@given(changes=edits)
def test_safetensors_of_any_bytes(folder: Path, tmp_path: Path, changes: list[tuple[float, int, bytes]]) -> None:
    load(tmp_path, edited((folder / "model.safetensors").read_bytes(), changes, HEADER_BYTES), folder)


@cases(300)
@given(data=st.data(), value=values)
def test_safetensors_headers_of_any_values(folder: Path, tmp_path: Path, data: st.DataObject, value: Any) -> None:
    content = (folder / "model.safetensors").read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    place = data.draw(st.sampled_from([header, *header.values()]))
    place[data.draw(st.sampled_from(sorted(place)))] = value
    changed = json.dumps(header).encode()
    load(tmp_path, len(changed).to_bytes(8, "little") + changed + content[8 + length :], folder)


@cases(150)
@given(changes=edits)
def test_gguf_of_any_bytes(packed: bytes, tmp_path: Path, changes: list[tuple[float, int, bytes]]) -> None:
    path = tmp_path / "x.gguf"
    path.write_bytes(edited(packed, changes, HEADER_BYTES))
    (tmp_path / "out").mkdir(exist_ok=True)
    try:
        read_gguf(path).write(tmp_path / "out")
    except UserError as error:
        assert 0 < len(str(error)) < 2000
