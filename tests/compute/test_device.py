"""Which device and number format a run gets."""

from pathlib import Path

import pytest
import torch

from reprotune.compute import device as precision
from reprotune.compute.device import cast_matrices, pick_device, resolve_precision
from reprotune.errors import UserError
from reprotune.model.gpt2 import GPT2, GPT2Config

CPU = torch.device("cpu")


def test_named_precisions_are_taken_at_their_word() -> None:
    assert resolve_precision("fp32", CPU) == torch.float32
    assert resolve_precision("bf16", CPU) == torch.bfloat16


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [
        ({"amx_bf16": True, "avx512_bf16": True}, torch.bfloat16),
        ({"amx_bf16": False, "avx512_bf16": True}, torch.bfloat16),
        ({"amx_bf16": False, "avx512_bf16": False, "avx512_f": True}, torch.float32),
    ],
)
def test_auto_on_a_cpu_asks_for_bf16_instructions(
    monkeypatch: pytest.MonkeyPatch, capabilities: dict[str, bool], expected: torch.dtype
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    assert resolve_precision("auto", CPU) == expected


@pytest.mark.parametrize(
    ("flags", "expected"),
    [("flags\t: avx512_bf16 amx_bf16 amx_tile", torch.bfloat16), ("flags\t: avx512f avx2", torch.float32)],
)
def test_auto_on_an_older_torch_reads_the_cpus_flags(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, flags: str, expected: torch.dtype
) -> None:
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    (tmp_path / "cpuinfo").write_text(flags)
    monkeypatch.setattr(precision, "CPU_INFO", tmp_path / "cpuinfo")
    assert resolve_precision("auto", CPU) == expected


def test_auto_without_any_sign_is_float32(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    monkeypatch.setattr(precision, "CPU_INFO", tmp_path / "absent")
    assert resolve_precision("auto", CPU) == torch.float32


@pytest.mark.parametrize("supported", [True, False])
def test_auto_on_a_gpu_asks_the_gpu(monkeypatch: pytest.MonkeyPatch, supported: bool) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: supported)
    expected = torch.bfloat16 if supported else torch.float32
    assert resolve_precision("auto", torch.device("cuda")) == expected


def test_device_comes_from_the_machine_or_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.delenv("REPROTUNE_DEVICE", raising=False)
    assert pick_device() == torch.device("cuda")
    monkeypatch.setenv("REPROTUNE_DEVICE", "cuda:1")
    assert pick_device() == torch.device("cuda", 1)
    monkeypatch.setenv("REPROTUNE_DEVICE", "cpu")
    assert pick_device() == CPU


@pytest.mark.parametrize("name", ["gpu", "cuda:7"])
def test_impossible_devices_are_named(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("REPROTUNE_DEVICE", name)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(UserError, match=name):
        pick_device()


def test_cast_matrices_leaves_norms_and_positions() -> None:
    model = GPT2(GPT2Config(n_layer=1, n_head=1, n_embd=8, n_positions=4, vocab_size=10))
    cast_matrices(model, torch.bfloat16)
    kept = {name for name, parameter in model.named_parameters() if parameter.dtype == torch.float32}
    norms = ("blocks.0.ln_1", "blocks.0.ln_2", "ln_f")
    assert kept == {"wpe.weight", *(f"{norm}.{kind}" for norm in norms for kind in ("weight", "bias"))}
