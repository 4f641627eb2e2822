"""Which device and number format a run gets."""

import shutil
from pathlib import Path

import pytest
import torch

from reprotune.compute import device as precision
from reprotune.compute.device import Compute, pick_device, resolve_precision
from reprotune.errors import UserError
from reprotune.model.config import GPT2_SIZES

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


@pytest.mark.parametrize(
    "name", ["gpu", "cuda:7", "meta", "mps", "xpu", "hpu", "cpu:5", "cuda:99999999999999999999", "CPU", " cpu"]
)
def test_impossible_devices_are_named(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("REPROTUNE_DEVICE", name)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(UserError, match=name):
        pick_device()


@pytest.mark.parametrize(
    ("device", "dtype", "expected"),
    [
        ("cpu", torch.float32, {"shares_prefix"}),
        ("cpu", torch.bfloat16, {"shares_prefix", "writes_out_attention"}),
        ("cuda", torch.float32, {"shares_prefix", "records_steps"}),
        ("cuda", torch.bfloat16, {"flash", "records_steps", "records_passes"}),
    ],
)
def test_every_choice_follows_from_device_and_format(device: str, dtype: torch.dtype, expected: set[str]) -> None:
    compute = Compute(torch.device(device), dtype)
    choices = {
        "flash": compute.flash,
        "shares_prefix": compute.shares_prefix,
        "records_steps": compute.records_steps,
        "records_passes": compute.records_passes("packed"),
        "writes_out_attention": compute.writes_out_attention(512),
    }
    assert {name for name, chosen in choices.items() if chosen} == expected
    assert not compute.records_passes("dynamic")
    assert not compute.writes_out_attention(513)
    assert compute.vocabulary_multiple == (64 if device == "cuda" else 1)


def test_nothing_is_blocked_where_there_are_no_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not Compute(torch.device("cuda"), torch.float32).blocks_weights
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "DEFAULT")
    assert not Compute(CPU, torch.float32).blocks_weights
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    assert not Compute(CPU, torch.float32).blocks_weights


def test_auto_compiles_long_runs_on_a_gpu_only() -> None:
    per_token = GPT2_SIZES["gpt2-medium"].training_flops_per_token()
    cpu, gpu = Compute(CPU, torch.bfloat16), Compute(torch.device("cuda"), torch.bfloat16)
    assert not cpu.compiles("auto", 10**9 * per_token)
    assert gpu.compiles("auto", 10**9 * per_token)
    assert not gpu.compiles("auto", 935 * 2 * 70 * per_token)


def test_an_explicit_choice_to_compile_is_obeyed(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu, gpu = Compute(CPU, torch.float32), Compute(torch.device("cuda"), torch.float32)
    assert not gpu.compiles("never", 1e30)
    assert gpu.compiles("always", 1)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(UserError, match="no C\\+\\+ compiler"):
        cpu.compiles("always", 1)
