"""The table at the end of `make repro`."""

import json
import os
import subprocess
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from reprotune.errors import UserError
from reprotune.results.terminal import duration, read_timings, summary

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with dvc.yaml, outside of any Git repository."""
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    (tmp_path / "dvc.yaml").write_bytes((ROOT / "dvc.yaml").read_bytes())
    (tmp_path / "metrics").mkdir()
    return tmp_path


def shown(root: Path, width: int = 80) -> str:
    console = Console(width=width, record=True, force_terminal=False)
    console.print(summary(root))
    return console.export_text()


def write_metrics(root: Path, method: str = "offline_composite") -> None:
    numbers = {"score": 57.91, "ci95_low": 53.0, "ci95_high": 62.0, "n": 1130, "stderr": 2.1, "stderr_clustered": 3.14}
    difference = {**numbers, "score": -3.04, "ci95_low": -6.0, "ci95_high": 0.5, "verdict": "within noise"}
    scores = {"method": method, "base": {"score": 12.0, "n": 1130}, "finetuned": numbers, "difference": difference}
    training = {"initial": {"validation_loss": 4.2}, "best": {"validation_loss": 1.31, "step": 120}}
    for name, content in (("scores", scores), ("training", training)):
        (root / f"metrics/{name}.json").write_text(json.dumps(content))


def lines(text: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("│").split("│")] for line in text.splitlines() if "│" in line]


def test_outside_a_project_there_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no dvc\.yaml here: run this from the folder that holds params\.yaml"):
        summary(tmp_path)


def test_says_in_words_what_is_missing(project: Path) -> None:
    text = shown(project)
    assert text.count("not measured yet: run `dvc repro`") == 2
    assert "No stage has run on this machine yet." in text
    assert "data/report/index.html is missing" in text
    assert "Commit" not in text


def test_shows_scores_with_intervals_and_what_was_found(project: Path) -> None:
    write_metrics(project)
    table = lines(shown(project))
    assert ["Base", "12.0", "–", "–", "–", "1,130"] in table
    assert ["Fine-tuned", "57.9", "53.0 to 62.0", "2.10", "3.14", "1,130"] in table
    assert ["Difference", "-3.0", "-6.0 to +0.5", "2.10", "3.14", "1,130"] in table
    assert ["Fine-tuned against base", "within noise"] in table
    assert ["Validation loss", "4.200 -> 1.310, best at step 120"] in table


def benchmark() -> dict[str, Any]:
    """Return metrics/benchmark.json."""
    change = {"accuracy": -0.004, "ci95_low": -0.0151, "ci95_high": 0.0071, "p_value": 0.5, "gained": 1, "lost": 2}
    model = {"accuracy": 0.997, "above_constant": True}
    loss = {"bits_per_byte": 0.0268, "ci95_low": 0.0217, "ci95_high": 0.0319, "verdict": "forgot"}
    exam = {
        "items": 300,
        "trivial": {"chance": 0.25, "best_constant": 0.271, "longest_option": 0.2467},
        "base": {**model, "above_constant": False},
        "finetuned": model,
        "difference": {**change, "verdict": "within noise"},
    }
    retention = {"base": {"bits_per_byte": 0.9438}, "finetuned": {"bits_per_byte": 0.9706}, "difference": loss}
    return {"exam": {"cloze_0shot_plain": exam}, "retention": retention}


def test_shows_the_exam_and_retention_beside_trivial_answers(project: Path) -> None:
    write_metrics(project)
    assert "retention" not in shown(project)
    (project / "metrics/benchmark.json").write_text(json.dumps(benchmark()))
    table = lines(shown(project, width=120))
    assert ["exam, cloze_0shot_plain, % right", "99.7", "99.7", "−0.4", "−1.5 to +0.7"] in table
    assert ["best constant answer", "27.1", "27.1", "", ""] in table
    assert ["always the longest option", "24.7", "24.7", "", ""] in table
    assert ["retention, bits per byte", "0.9438", "0.9706", "+0.0268", "+0.0217 to +0.0319"] in table
    words = "the difference is within noise (1 gained, 2 lost, exact p 0.5); not above the best constant answer: base"
    assert ["exam, cloze_0shot_plain", words] in lines(shown(project, width=200))
    assert ["Retention", "fine-tuning forgot: the text is harder to predict than before"] in table
    assert "cloze_0shot_plain," in shown(project) and "…" not in shown(project), "nothing is cut in 80 columns"
    (project / "metrics/benchmark.json").write_text("{}")
    assert "exam" not in shown(project) and "bits per byte" not in shown(project)


def test_that_scores_are_stale_is_said_before_them(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    changes = ["finetune.epochs: 2 -> 3", "src/a.py: changed", "src/b.py: changed", "src/c.py: changed"]
    monkeypatch.setattr("reprotune.results.terminal.changes_since_run", lambda _: changes)
    assert "Stale" not in shown(project), "there are no scores that could be"
    write_metrics(project)
    assert shown(project, width=200).startswith(
        "Stale: these results were not made from the params, code and data here (finetune.epochs: 2 -> 3; src/a.py: "
        "changed; src/b.py: changed; and 1 more)."
    )
    narrow = shown(project, width=60)
    assert "\nRun `dvc repro` for those of what is here.\n" in narrow, "no command is broken or cut"
    assert "and 1 more)." in " ".join(narrow.split())
    monkeypatch.setattr("reprotune.results.terminal.changes_since_run", lambda _: [])
    assert "Stale" not in shown(project)


def test_scores_that_nothing_is_known_about_are_not_called_current(project: Path) -> None:
    write_metrics(project)
    (project / "dvc.lock").write_text("- no lock\n")
    assert shown(project).startswith("Whether these results are current cannot be told: ")


def test_times_of_every_stage_are_one_table(project: Path) -> None:
    timings = project / ".reprotune/timings"
    timings.mkdir(parents=True)
    for stage, seconds in (("judge", 2.0), ("fetch@dataset", 0.5), ("finetune", 93.4), ("retired", 1.0)):
        path = timings / f"{stage}.json"
        path.write_text(json.dumps({"stage": stage, "seconds": seconds}))
        noon = datetime(2026, 3, 4 if stage == "judge" else 3, 12).timestamp()
        os.utime(path, (noon, noon))
    table = lines(shown(project))
    assert ["fetch@dataset", "0.5 s", "2026-03-03 12:00"] in table
    assert ["finetune", "1 min 33 s", "2026-03-03 12:00"] in table
    assert ["judge", "2.0 s", "2026-03-04 12:00"] in table
    assert table[-1] == ["together", "1 min 36 s", ""]
    assert [timing.stage for timing in read_timings(project)] == ["fetch@dataset", "finetune", "judge"]


def test_names_the_commit_and_what_is_not_in_it(project: Path) -> None:
    git = ["git", "-C", str(project), "-c", "user.name=A", "-c", "user.email=a@example.org"]
    write_metrics(project)
    for command in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "--message", "One"]):
        subprocess.run([*git, *command], check=True)
    commit = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout
    assert ["Commit", commit[:8]] in lines(shown(project))
    write_metrics(project, "of a judge")
    assert ["Commit", f"{commit[:8]}, not committed: metrics/scores.json"] in lines(shown(project))


def test_a_method_s_name_is_text_and_nothing_else(project: Path) -> None:
    write_metrics(project, "ollama:[red]m\x1b[31m:x")
    assert ["Scored by", "ollama:[red]m⟨U+001B⟩[31m:x"] in lines(shown(project))


def test_metrics_that_cannot_be_read_are_one_sentence(project: Path) -> None:
    (project / "metrics/scores.json").write_text("<<<<<<< HEAD")
    with pytest.raises(UserError, match=r"scores\.json is not valid JSON .*: run `git checkout metrics/scores\.json`"):
        summary(project)


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


def test_shows_an_opponent_and_checks_where_there_are_any(project: Path) -> None:
    write_metrics(project)
    path = project / "metrics/scores.json"
    scores = json.loads(path.read_text())
    scores["pairwise"] = {"against": "base", "win_rate": 0.6, "ci95_low": 0.5, "ci95_high": 0.7}
    path.write_text(json.dumps(scores))
    assert "Wins against" not in shown(project) and "comply" not in shown(project)
    scores["pairwise"]["against"] = "gpt4"
    figures = dict.fromkeys(("rows_strict", "rows_loose", "checks_strict", "checks_loose"), 0.25)
    scores["checks"] = {"n": 8, "n_checks": 9, **dict.fromkeys(("base", "finetuned", "echo", "empty"), figures)}
    path.write_text(json.dumps(scores))
    table = dict(line for line in lines(shown(project, 200)) if len(line) == 2)
    assert table["Wins against gpt4"] == "60.0% (50.0% to 70.0%)"
    assert "the prompt itself would get 25.0%" in table["Rows that comply with their checks"]
