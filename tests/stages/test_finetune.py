"""The finetune stage as a process: artifacts, byte-identical reruns, adapters, the control."""

import csv
import json
import platform
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import torch
from ruamel.yaml import YAML
from transformers import AutoTokenizer, GPT2LMHeadModel

from reprotune.artifacts import TOKENS, write_table, write_text
from reprotune.compute.device import Compute
from reprotune.dataset.tokenizers.files import complete_tokenizer_files
from reprotune.model.config import ModelConfig
from reprotune.model.network import Network
from reprotune.model.weights import load_model, save_model
from reprotune.params.sections.finetune import FinetuneParams
from reprotune.training.results import made_with
from stages.finetune import run_key

ROOT = Path(__file__).resolve().parents[2]
VOLATILE = "data/speed/finetune.json"


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A folder with params, a tiny base model and tokens of a task that can be learned: repeat one token."""
    model = Network(ModelConfig(n_layer=1, n_head=2, n_embd=16, n_positions=32))
    model.initialize(torch.Generator().manual_seed(0))
    save_model(model, tmp_path / "data/base")
    complete_tokenizer_files(tmp_path / "data/base")
    write_text(tmp_path / "data/formatted/chat_template.jinja", "the trained template\n")
    for name, count in (("train", 24), ("validation", 6)):
        rows = [{"id": f"{row}", "prompt_ids": [row + 5, 9], "response_ids": [row + 5, 50256]} for row in range(count)]
        write_table(tmp_path / f"data/tokens/{name}.parquet", pa.Table.from_pylist(rows, schema=TOKENS))
    return tmp_path


@pytest.mark.parametrize(("params", "kept"), [({"saved_precision": "base"}, torch.bfloat16), ({}, torch.float32)])
def test_the_model_keeps_the_number_format_of_its_base(
    workspace: Path, params: dict[str, str], kept: torch.dtype
) -> None:
    save_model(load_model(workspace / "data/base"), workspace / "data/base", torch.bfloat16)
    assert finetune(workspace, **params).returncode == 0
    oracle = GPT2LMHeadModel.from_pretrained(workspace / "data/model", dtype="auto")
    assert {parameter.dtype for parameter in oracle.parameters()} == {kept}
    assert json.loads((workspace / "data/model/config.json").read_text())["torch_dtype"] == str(kept)[6:]


def finetune(workspace: Path, **changes: Any) -> subprocess.CompletedProcess[str]:
    yaml = YAML()
    params = yaml.load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    params["finetune"].update({"epochs": 2, "batch_size": 8, "precision": "fp32", "mask_instruction": False, **changes})
    yaml.dump(params, workspace / "params.yaml")
    return subprocess.run(
        [sys.executable, "-m", "stages.finetune"],
        cwd=workspace,
        env={"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}", "OMP_NUM_THREADS": "1", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )


def artifact_bytes(workspace: Path) -> dict[str, bytes]:
    files = sorted(path for path in (workspace / "data").rglob("*") if path.is_file())
    return {str(path.relative_to(workspace)): path.read_bytes() for path in files}


def test_artifacts_and_a_byte_identical_rerun(workspace: Path) -> None:
    run = finetune(workspace)
    assert run.returncode == 0, run.stderr
    assert "3 of 4 tokens are learned" in run.stderr
    first = artifact_bytes(workspace)
    shutil.rmtree(workspace / ".reprotune")
    assert finetune(workspace).returncode == 0
    second = artifact_bytes(workspace)
    assert {name for name in first if first[name] != second[name]} <= {VOLATILE}

    metrics = json.loads(first["data/model/metrics.json"])
    assert metrics["steps"] == 6
    assert metrics["tokens_seen"] == 2 * 24 * 3
    assert metrics["padding_share"] == 0.0
    assert metrics["best"]["validation_loss"] < metrics["initial"]["validation_loss"]
    rows = list(csv.DictReader(first["data/model/loss.csv"].decode().splitlines()))
    assert [int(row["step"]) for row in rows] == [1, 2, 3, 4, 5, 6]
    assert [bool(row["validation_loss"]) for row in rows] == [False, False, True] * 2
    speed = json.loads(first[VOLATILE])
    assert speed["tokens_per_second"] > 0
    assert speed["made_with"] == {  # without pyproject.toml and constraints.txt: the folder is no checkout
        "python": platform.python_version(),
        "torch": torch.__version__,
        "device_type": "cpu",
        "precision": "fp32",
    }
    assert speed["device"].endswith(" thread") or speed["device"].endswith(" threads")
    moment = datetime.strptime(speed["trained"].pop("at"), "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    assert timedelta(0) <= datetime.now(UTC) - moment < timedelta(minutes=10)
    system = f"{platform.system()} {platform.machine()}"
    assert speed["trained"] == {"system": system, "commit": None, "uncommitted": None}


def test_a_result_that_dvc_lost_is_written_again_without_training(workspace: Path) -> None:
    """The stage may be killed after training, or DVC before it has saved the outs."""
    assert finetune(workspace).returncode == 0
    first = artifact_bytes(workspace)
    shutil.rmtree(workspace / "data/model")
    (folder,) = (workspace / ".reprotune/finetune").iterdir()
    (folder / "finished").unlink()  # as after a kill while the outs are written
    again = finetune(workspace)
    assert "training had ended" in again.stderr
    second = artifact_bytes(workspace)
    assert {name for name in first if first[name] != second[name]} <= {VOLATILE}


def test_another_run_deletes_what_a_finished_one_left(workspace: Path) -> None:
    assert finetune(workspace).returncode == 0
    (first,) = (workspace / ".reprotune/finetune").iterdir()
    assert finetune(workspace, epochs=1).returncode == 0
    (second,) = (workspace / ".reprotune/finetune").iterdir()
    assert first != second


def test_transformers_reads_the_result(workspace: Path) -> None:
    assert finetune(workspace).returncode == 0
    folder = workspace / "data/model"
    ids = torch.tensor([[5, 9, 5]])
    with torch.no_grad():
        theirs = GPT2LMHeadModel.from_pretrained(folder)(ids).logits
        model = load_model(folder)
        torch.testing.assert_close(model.logits(model(ids)), theirs, rtol=1e-4, atol=1e-4)
    assert AutoTokenizer.from_pretrained(folder)("Hello world")["input_ids"] == [15496, 995]


def test_adapters_are_merged_and_leave_embeddings_alone(workspace: Path) -> None:
    run = finetune(workspace, method="lora", learning_rate=0.01)
    assert run.returncode == 0, run.stderr
    before, after = load_model(workspace / "data/base"), load_model(workspace / "data/model")
    assert torch.equal(before.wte.weight, after.wte.weight)
    assert not torch.equal(before.blocks[0].c_fc.weight, after.blocks[0].c_fc.weight)
    metrics = json.loads((workspace / "data/model/metrics.json").read_text())
    assert metrics["trained_parameters"] == 16 * ((16 + 48) + (16 + 16) + (16 + 64) + (64 + 16))


def test_random_initial_weights_forget_the_base(workspace: Path) -> None:
    assert finetune(workspace, init="random", learning_rate=1e-9, min_learning_rate=0.0).returncode == 0
    before, after = load_model(workspace / "data/base"), load_model(workspace / "data/model")
    assert not torch.allclose(before.wte.weight, after.wte.weight, atol=1e-3)


def test_a_checkpoint_is_for_one_set_of_inputs(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever decides the bytes of the model is part of the key under which progress is saved."""
    monkeypatch.chdir(workspace)
    params = FinetuneParams.load("finetune", ROOT / "params.yaml")
    compute = Compute(torch.device("cpu"), torch.float32)
    keys = [run_key(params, compute)]
    assert run_key(params, compute) == keys[0]
    config = workspace / "data/base/config.json"
    config.write_text(config.read_text().replace('"n_head": 2', '"n_head": 4'))
    keys.append(run_key(params, compute))
    monkeypatch.setattr(torch, "__version__", "0.0.1")
    keys.append(run_key(params, compute))
    monkeypatch.setattr("stages.finetune.code_fingerprint", lambda: "of other code")
    keys.append(run_key(params, compute))
    assert len(set(keys)) == len(keys)


def test_what_a_model_was_made_with_names_version_and_pins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    made = made_with(Compute(torch.device("cpu"), torch.bfloat16))
    assert made["reprotune"][0].isdigit()
    assert len(made["constraints_sha256"]) == 64
    assert made["precision"] == "bf16"


def test_missing_tokens_are_one_sentence(workspace: Path) -> None:
    (workspace / "data/tokens/train.parquet").unlink()
    run = finetune(workspace)
    assert run.returncode == 1
    assert "Traceback" not in run.stderr
    assert "data/tokens/train.parquet is missing: run `dvc repro`" in run.stderr
