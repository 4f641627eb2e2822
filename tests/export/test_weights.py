"""GGUF files of every family: our own reader finds the model again, and the same model gives the same bytes."""

from collections.abc import Callable
from pathlib import Path

import gguf
import pytest
import torch
from transformers import AutoModelForCausalLM

from reprotune.errors import UserError
from reprotune.export.weights import write_gguf
from reprotune.model.network import Network
from reprotune.model.source import fetch_base
from reprotune.model.weights import load_model
from reprotune.params.sections.export import Quantisation
from reprotune.params.sections.fetch import BaseParams
from tests.export.conftest import FAMILIES, Ready

Prepared = Callable[..., Ready]

IDS = torch.randint(0, 200, (2, 20), generator=torch.Generator().manual_seed(1))


def written(ready: Ready, path: Path, quantisation: Quantisation = "f16") -> Path:
    exported = ready.exported
    source = exported.form.source
    write_gguf(exported.model, exported.files, exported.tokenizer.end_of_text, source, quantisation, path)
    return path


def fetched(source: Path, folder: Path) -> Network:
    fetch_base(BaseParams(source=str(source), revision=None), folder)
    return load_model(folder)


def logits(model: Network) -> torch.Tensor:
    with torch.no_grad():
        return model.logits(model(IDS))


@pytest.mark.parametrize("kind", [kind for kind in FAMILIES if kind != "llama_pieces"])  # whose tokenizer is not read
def test_our_own_reader_finds_the_model_again(kind: str, prepared: Prepared, tmp_path: Path) -> None:
    ready = prepared(kind, trained=False)
    again = fetched(written(ready, tmp_path / "model.gguf"), tmp_path / "base")
    torch.testing.assert_close(logits(again), logits(ready.exported.model), atol=5e-3, rtol=0)
    with torch.no_grad():
        for parameter in ready.exported.model.parameters():
            if parameter.dim() > 1:
                parameter.copy_(parameter.half().float())
    again = fetched(written(ready, tmp_path / "exact.gguf"), tmp_path / "exact")
    assert torch.equal(logits(again), logits(ready.exported.model))
    config, before = again.config, ready.exported.model.config
    assert (config.end_of_text[0], config.n_positions) == (before.end_of_text[0], before.n_positions)
    assert config.rotary == before.rotary or before.rotary.scaling is not None


@pytest.mark.parametrize("kind", ["gpt2", "llama_tied_stretched", "qwen2"])
@pytest.mark.parametrize("quantisation", ["f16", "q8_0", "q4_0"])
def test_the_same_model_gives_the_same_bytes(
    kind: str, quantisation: Quantisation, prepared: Prepared, tmp_path: Path
) -> None:
    ready = prepared(kind, trained=False)
    first = written(ready, tmp_path / "first.gguf", quantisation).read_bytes()
    assert written(ready, tmp_path / "second.gguf", quantisation).read_bytes() == first


def test_transformers_reads_a_llama(prepared: Prepared, tmp_path: Path) -> None:
    ready = prepared("llama", trained=False)
    written(ready, tmp_path / "model.gguf")
    oracle = AutoModelForCausalLM.from_pretrained(tmp_path, gguf_file="model.gguf", dtype=torch.float32).eval()
    with torch.no_grad():
        torch.testing.assert_close(oracle(IDS).logits, logits(ready.exported.model), atol=5e-3, rtol=0)


def test_fewer_bits_make_smaller_files(prepared: Prepared, tmp_path: Path) -> None:
    ready = prepared("gpt2", trained=False)
    sizes = [written(ready, tmp_path / f"{name}.gguf", name).stat().st_size for name in ("f16", "q8_0", "q4_0")]
    assert sizes == sorted(sizes, reverse=True)
    kinds = {tensor.name: tensor.tensor_type.name for tensor in gguf.GGUFReader(tmp_path / "q4_0.gguf").tensors}
    assert kinds["blk.0.attn_qkv.weight"] == "Q4_0"
    assert kinds["token_embd.weight"] == "Q8_0"
    assert kinds["position_embd.weight"] == kinds["blk.0.attn_norm.weight"] == "F32"


def test_weights_that_float16_cannot_hold(prepared: Prepared, tmp_path: Path) -> None:
    ready = prepared("llama", trained=False)
    row = ready.exported.model.wte.weight[7]
    with torch.no_grad():
        before = row.clone()
        row.fill_(1e5)
        with pytest.raises(UserError, match="holds weights that float16 cannot: set export"):
            written(ready, tmp_path / "model.gguf")
        row.copy_(before)
    assert not (tmp_path / "model.gguf").exists()
