"""Repeats in the terminal: what they found, and whether it is of what is there."""

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from reprotune.artifacts import write_json
from reprotune.errors import UserError
from reprotune.results.repeats import agreement_sentence, repeats_tables
from reprotune.runs.publish import published

PART = {"mean": 84.25, "sd": 1.3, "lowest": 82.9, "highest": 86.0, "ci95_low": 81.0, "ci95_high": 87.0}
METRICS: dict[str, Any] = {
    "method": "offline_composite",
    "seeds": 5,
    "rows": 325,
    "score": PART,
    "exact_match": {**{key: value / 100 for key, value in PART.items()}, "ci95_low": None, "ci95_high": None},
    "validation_loss": {"mean": 0.1234, "sd": None, "lowest": 0.12, "highest": 0.13},
    "agreement": {"same_answer": 0.8, "always_exact": 0.7, "sometimes_exact": 0.2, "never_exact": 0.1},
}
LOCK = """\
schema: '2.0'
stages:
  repeat:
    cmd: python -m stages.repeat
    deps:
    - path: data/tokens/train.parquet
      md5: 11111111111111111111111111111111
    params:
      params.yaml:
        finetune:
          seed: 1
    outs:
    - path: data/repeats
      md5: 22222222222222222222222222222222.dir
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    write_json(tmp_path / "data/repeats/metrics.json", METRICS)
    (tmp_path / "repeats").mkdir()
    (tmp_path / "repeats/dvc.lock").write_text(LOCK)
    (tmp_path / "params.yaml").write_text("finetune:\n  seed: 1\n")
    (tmp_path / "dvc.lock").write_text(LOCK.replace("repeat", "finetune"))
    return tmp_path


def shown(root: Path) -> str:
    text = io.StringIO()
    Console(file=text, width=120).print(*repeats_tables(root))
    return text.getvalue()


def test_the_table_shows_mean_interval_and_spread(project: Path) -> None:
    lines = {line.split("│")[1].strip(): line for line in shown(project).splitlines() if line.startswith("│")}
    assert "5 seeds" in lines
    assert [cell.strip() for cell in lines["Score"].split("│")[2:-1]] == ["84.2", "81.0 to 87.0", "1.3", "82.9", "86.0"]
    assert [cell.strip() for cell in lines["Exact matches, %"].split("│")[2:4]] == ["84.2", "–"]
    assert [cell.strip() for cell in lines["Validation loss"].split("│")[2:5]] == ["0.1234", "–", "–"]
    assert "other params" not in shown(project)


def test_agreement_in_words() -> None:
    assert agreement_sentence(METRICS) == (
        "Two seeds give the same answer to 80% of the rows. Exact with every seed: 70% of the rows, with some: 20%, "
        "with none: 10%."
    )


def test_repeats_of_other_params_or_data_are_called_so(project: Path) -> None:
    (project / "params.yaml").write_text("finetune:\n  seed: 2\n")
    assert "of other params, code or data (finetune.seed: 1 -> 2)" in " ".join(shown(project).split())
    (project / "params.yaml").write_text("finetune:\n  seed: 1\n")
    (project / "dvc.lock").write_text(LOCK.replace("repeat", "finetune").replace("1" * 32, "3" * 32))
    assert "(data/tokens/train.parquet: changed)" in " ".join(shown(project).split())


def test_nothing_without_repeats(tmp_path: Path) -> None:
    assert list(repeats_tables(tmp_path)) == []


@pytest.mark.parametrize(
    ("changes", "named"), [({"seeds": "five"}, "seeds"), ({"score": {**PART, "sd": "x"}}, "score.sd")]
)
def test_a_damaged_file_is_one_sentence(project: Path, changes: dict[str, Any], named: str) -> None:
    write_json(project / "data/repeats/metrics.json", METRICS | changes)
    with pytest.raises(UserError, match=f"has no usable `{named}`: run `reprotune repeat`"):
        list(repeats_tables(project))


def test_what_was_not_measured_is_not_published() -> None:
    found = published(METRICS)
    assert "sd" not in found["validation_loss"]
    assert "ci95_low" not in found["exact_match"]
    assert found["score"] == PART
    assert found["seeds"] == 5
