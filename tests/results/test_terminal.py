"""The table at the end of `make repro`."""

import json
from pathlib import Path

import pytest
from rich.console import Console

from reprotune.results.terminal import duration, read_timings, summary_table

ROOT = Path(__file__).resolve().parents[2]


def shown(root: Path) -> str:
    console = Console(width=100, record=True, force_terminal=False)
    console.print(summary_table(root))
    return console.export_text()


def test_says_in_words_what_is_missing(tmp_path: Path) -> None:
    text = shown(tmp_path)
    assert text.count("not measured yet: run `dvc repro`") == 4
    assert "no stage has run here yet" in text
    assert "data/report/index.html is missing" in text


def test_shows_scores_with_intervals_loss_and_times(tmp_path: Path) -> None:
    numbers = {"score": 57.91, "ci95_low": 53.0, "ci95_high": 62.0, "n": 130}
    scores = {
        "method": "offline_composite",
        "base": {"score": 12.0, "n": 130},
        "finetuned": numbers,
        "difference": {**numbers, "score": -3.04, "ci95_low": -6.0, "ci95_high": 0.5},
    }
    training = {"initial": {"validation_loss": 4.2}, "best": {"validation_loss": 1.31, "step": 120}}
    for name, content in (("scores", scores), ("training", training)):
        path = tmp_path / f"metrics/{name}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(content))
    (tmp_path / "dvc.yaml").write_bytes((ROOT / "dvc.yaml").read_bytes())
    timings = tmp_path / ".reprotune/timings"
    timings.mkdir(parents=True)
    for stage, seconds in (("judge", 2.0), ("fetch@dataset", 0.5), ("finetune", 93.4), ("retired", 1.0)):
        (timings / f"{stage}.json").write_text(json.dumps({"stage": stage, "seconds": seconds}))
    text = shown(tmp_path)
    assert "57.9   95 % interval 53.0 to 62.0   n = 130" in text
    assert "-3.0   95 % interval -6.0 to +0.5" in text
    assert "4.200 -> 1.310   best at step 120" in text
    assert "1 min 33 s" in text
    assert [stage for stage, _ in read_timings(tmp_path)] == ["fetch@dataset", "finetune", "judge"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "0.0 s"),
        (59.94, "59.9 s"),
        (59.97, "1 min 00 s"),
        (119.7, "2 min 00 s"),
        (3599.6, "1 h 00 min"),
        (7505, "2 h 05 min"),
    ],
)
def test_durations_read_well(seconds: float, text: str) -> None:
    assert duration(seconds) == text
