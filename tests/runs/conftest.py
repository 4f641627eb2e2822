"""A tiny project whose pipeline has run up to its tokens, in the current folder."""

from pathlib import Path

import pyarrow as pa
import pytest
import torch
from ruamel.yaml import YAML

from reprotune.artifacts import FORMATTED, RECORDS, TOKENS, write_table, write_text
from reprotune.dataset.tokenizers.files import complete_tokenizer_files
from reprotune.model.config import ModelConfig
from reprotune.model.network import Network
from reprotune.model.weights import save_model

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Params for a few steps, a tiny base model, and tokens of a task that can be learned: repeat one token."""
    model = Network(ModelConfig(n_layer=1, n_head=2, n_embd=16, n_positions=64))
    model.initialize(torch.Generator().manual_seed(0))
    save_model(model, tmp_path / "data/base")
    complete_tokenizer_files(tmp_path / "data/base")
    write_text(tmp_path / "data/formatted/chat_template.jinja", "the trained template\n")
    for name, count in (("train", 24), ("validation", 6)):
        rows = [{"id": f"{row}", "prompt_ids": [row + 5, 9], "response_ids": [row + 5, 50256]} for row in range(count)]
        write_table(tmp_path / f"data/tokens/{name}.parquet", pa.Table.from_pylist(rows, schema=TOKENS))
    write_test_rows(tmp_path)
    yaml = YAML()
    params = yaml.load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    params["finetune"].update({"batch_size": 8, "precision": "fp32", "mask_instruction": False})
    params["generate"].update({"max_new_tokens": 4})
    yaml.dump(params, tmp_path / "params.yaml")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    return tmp_path


def write_test_rows(root: Path) -> None:
    """Write eight test rows and their prompts."""
    records, prompts = [], []
    for row in range(8):
        texts = {"instruction": f"Repeat the word {row}.", "input": "", "output": f" {row}"}
        place = {"category": "even" if row % 2 == 0 else "odd", "source_row": row}
        records.append({"id": f"{row:016x}", **texts, **place})
        prompt = {"prompt": f"{texts['instruction']}\n", "response": texts["output"], "header": ""}
        prompts.append({"id": records[-1]["id"], **prompt})
    write_table(root / "data/split/test.parquet", pa.Table.from_pylist(records, schema=RECORDS))
    write_table(root / "data/formatted/test.parquet", pa.Table.from_pylist(prompts, schema=FORMATTED))
