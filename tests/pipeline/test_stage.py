"""A stage does not start while any section of params.yaml is wrong."""

import subprocess
import sys
from pathlib import Path

import pytest

from reprotune.pipeline.stage import run_stage

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = (ROOT / "params.yaml").read_text(encoding="utf-8")


def test_faults_of_all_sections_are_named_before_anything_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = SHIPPED.replace("backend: offline", "backend: olama").replace("top_k: null", "topk: 3")
    Path("params.yaml").write_text(text, encoding="utf-8")
    ran: list[str] = []
    with pytest.raises(SystemExit) as caught:
        run_stage("finetune", lambda: ran.append("finetune"))
    first, second = str(caught.value).splitlines()
    assert first.startswith("finetune: error: params.yaml: generate.top_k is missing")
    assert "generate.topk is not a known key: did you mean generate.top_k?" in first
    assert first.endswith("judge.backend should be 'offline', 'ollama' or 'openai', but it is 'olama'")
    assert "git stash" in second
    assert ran == []
    Path("params.yaml").write_text(SHIPPED, encoding="utf-8")
    run_stage("finetune", lambda: ran.append("finetune"))
    assert ran == ["finetune"]


def test_the_check_leaves_the_code_of_a_stage_as_it_is() -> None:
    """Otherwise an edit of `params/sections/judge.py` would discard the checkpoints of a killed training."""
    script = (
        "import stages.finetune\n"
        "from reprotune.pipeline.stage import check_params\n"
        "from reprotune.scratch import code_fingerprint\n"
        "before = code_fingerprint()\n"
        "check_params()\n"
        "print(code_fingerprint() == before)\n"
    )
    run = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout == "True\n"


@pytest.mark.parametrize(
    "stage", sorted(path.stem for path in (ROOT / "stages").glob("*.py") if path.stem != "__init__")
)
def test_every_stage_starts_like_this(stage: str) -> None:
    text = (ROOT / f"stages/{stage}.py").read_text(encoding="utf-8")
    assert "from reprotune.pipeline.stage import run_stage\n" in text
