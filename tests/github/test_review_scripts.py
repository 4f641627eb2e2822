"""The scripts of the review: one comment that is replaced, and nothing that nobody calls."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ROOT / ".github/scripts"
FAKE_REPROTUNE = """#!/usr/bin/env bash
echo "$*" >> "$LOG"
[ "$1" = compare ] && echo '## Compared' > "$4"
[[ " $FAILING " = *" $* "* || " $FAILING " = *" $1 "* ]] && { echo "$SAID" >&2; exit 1; }
echo "$1 is fine"
"""
FAKE_GH = """#!/usr/bin/env bash
printf '%s\\n' "$*" >> "$LOG"
case "$*" in *--paginate*) printf '%s' "$KNOWN" ;; esac
"""

FAKE_DVC = """#!/usr/bin/env bash
case "$*" in "config core.remote") exit 1 ;; "cache dir") echo cache ;; esac
"""

pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash, which is not here")


@pytest.mark.parametrize(
    ("known", "call"),
    [("", "--method POST repos/o/r/issues/7/comments"), ("42\n43\n", "--method PATCH repos/o/r/issues/comments/42")],
)
def test_the_comment_is_written_once_and_then_replaced(tmp_path: Path, known: str, call: str) -> None:
    (tmp_path / "gh").write_text(FAKE_GH)
    (tmp_path / "gh").chmod(0o755)
    (tmp_path / "summary.md").write_text("<!-- reprotune review -->\nbody\n")
    environment = {
        **os.environ,
        "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}",
        "GITHUB_REPOSITORY": "o/r",
        "LOG": str(tmp_path / "log"),
        "KNOWN": known,
    }
    command = [SCRIPTS / "comment.sh", "7", str(tmp_path / "summary.md")]
    subprocess.run(command, env=environment, check=True)
    asked, written = (tmp_path / "log").read_text().splitlines()
    assert 'startswith("<!-- reprotune review -->")' in asked
    assert "github-actions[bot]" in asked
    assert call in written
    assert f"body=@{tmp_path / 'summary.md'}" in written


def test_every_script_is_called_by_a_workflow_or_by_another_one() -> None:
    texts = [path.read_text() for path in (ROOT / ".github/workflows").glob("*.yml")]
    steps = [step for text in texts for job in YAML(typ="safe").load(text)["jobs"].values() for step in job["steps"]]
    called = set(re.findall(r"\.github/scripts/([\w.]+)", " ".join(step.get("run", "") for step in steps)))
    for script in sorted(called):
        called |= set(re.findall(r"\"\$scripts/([\w.]+)\"", (SCRIPTS / script).read_text()))
    assert called == {path.name for path in SCRIPTS.iterdir() if path.is_file()}


@pytest.fixture
def review(tmp_path: Path) -> Callable[..., tuple[int, str, list[str]]]:
    """Run review.sh with a `reprotune` that fails where told; returns exit code, summary and its calls."""
    repository, programs = tmp_path / "repository", tmp_path / "bin"
    repository.mkdir()
    programs.mkdir()
    (programs / "reprotune").write_text(FAKE_REPROTUNE)
    (programs / "reprotune").chmod(0o755)
    (programs / "dvc").write_text(FAKE_DVC)
    (programs / "dvc").chmod(0o755)
    identity = ["-c", "user.name=Test", "-c", "user.email=test@localhost"]
    for words in (["init", "--quiet"], [*identity, "commit", "--quiet", "--allow-empty", "--message", "base"]):
        subprocess.run(["git", *words], cwd=repository, check=True)

    def run(failing: str = "", said: str = "Traceback: KeyError", mode: str = "check") -> tuple[int, str, list[str]]:
        environment = {
            **os.environ,
            "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
            "FAILING": failing,
            "SAID": said,
            "LOG": str(tmp_path / "log"),
        }
        command = [SCRIPTS / "review.sh", "HEAD", str(tmp_path / "out"), mode]
        done = subprocess.run(command, cwd=repository, env=environment, capture_output=True, text=True, check=False)
        summary = (tmp_path / "out/summary.md").read_text()
        where = tmp_path / "out/summary.md"
        if done.returncode:
            assert re.fullmatch(rf"The review failed: .+ \(see {where}\)\n", done.stderr)
        else:
            assert (done.stdout, done.stderr) == (f"The review passed: {where}\n", "")
        return done.returncode, summary, (tmp_path / "log").read_text().splitlines()

    return run


def test_a_review_without_faults_passes_and_checks_the_lock_file(review) -> None:
    code, summary, calls = review()
    assert code == 0
    assert "### Gate: passed" in summary
    assert "## Compared" in summary
    assert calls[0] == "plan --check"


@pytest.mark.parametrize(
    ("failing", "said", "words"),
    [
        ("plan", "dvc.lock is out of date", "## The review failed: dvc.lock is out of date"),
        ("compare", "Traceback: KeyError", "## The review failed: the results cannot be compared"),
        ("gate", "Traceback: KeyError", "The gate does not run:"),
        ("gate", "gate.yaml: 1 of 2 rules are broken", "gate.yaml: 1 of 2 rules are broken"),
        ("gate", "gate.yaml: 1 of 2 rules cannot be told: the rows", "    gate.yaml: 1 of 2 rules cannot be told"),
        ("gate", "gate.yaml: 1 of 2 checks found results", "    gate.yaml: 1 of 2 checks found results"),
    ],
)
def test_whatever_fails_the_review_fails(review, failing: str, said: str, words: str) -> None:
    code, summary, _ = review(failing, said)
    assert code == 1
    assert "### Gate: failed" in summary
    assert "passed" not in summary
    assert words in summary
    assert said in summary
    assert ("The gate does not run" in summary) == (words == "The gate does not run:")


def test_results_that_were_not_committed_fail_a_review_that_runs(review) -> None:
    code, summary, calls = review("plan", "dvc.lock is out of date: run `dvc repro`", mode="run")
    assert code == 1
    assert summary.startswith("<!-- reprotune review -->\n## The committed results are not those of a run\n")
    assert "dvc.lock is not that of the code, params and data here" in summary
    assert "## Compared" in summary, "what a run gives is still shown"
    assert [call for call in calls if call.startswith("gate --against")]


def test_a_plan_that_crashes_is_not_taken_for_one_that_is_out_of_date(review) -> None:
    code, summary, _ = review("plan", "Traceback: KeyError", mode="run")
    assert code == 1
    assert "## The review failed: dvc.lock is out of date, or `reprotune plan` does not run" in summary
    assert "committed results" not in summary


USAGE = "Usage: .github/scripts/review.sh BASE OUT [check|run]"


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        ([], "2 or 3 words are needed, not 0"),
        (["HEAD"], "2 or 3 words are needed, not 1"),
        (["HEAD", "out", "run", "more"], "2 or 3 words are needed, not 4"),
        (["HEAD", "out", "fast"], "the third word is check or run, not fast"),
        (["nope", "out"], "Git knows no revision nope here"),
        (["", "out"], "Git knows no revision  here"),
        (["HEAD", "out"], "there is no reprotune: activate the environment"),
        (["HEAD", "file/out"], "file/out cannot be made a folder"),
    ],
)
def test_a_call_that_is_not_understood_is_answered_with_the_usage(tmp_path: Path, words: list[str], fault: str) -> None:
    (tmp_path / "file").write_text("no folder")
    (tmp_path / "bin").mkdir()
    programs = ["git", "bash", "dirname", "mkdir"]
    if words != ["HEAD", "out"]:
        (tmp_path / "bin/reprotune").write_text(FAKE_REPROTUNE)
        (tmp_path / "bin/dvc").write_text(FAKE_DVC)
    for name in programs:
        (tmp_path / "bin" / name).symlink_to(str(shutil.which(name)))
    for path in (tmp_path / "bin").iterdir():
        path.chmod(0o755)
    identity = ["-c", "user.name=Test", "-c", "user.email=test@localhost"]
    for command in (["init", "--quiet"], [*identity, "commit", "--quiet", "--allow-empty", "--message", "base"]):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    done = subprocess.run(
        ["bash", str(SCRIPTS / "review.sh"), *words],
        cwd=tmp_path,
        env={"PATH": str(tmp_path / "bin")},
        capture_output=True,
        text=True,
        check=False,
    )
    said = done.stderr.splitlines()
    assert (done.returncode, done.stdout, said[-1]) == (2, "", USAGE)
    assert said[-2].startswith(f"review.sh: {fault}")
    assert "unbound" not in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("script", ["comment.sh", "publish.sh", "inert.py"])
def test_the_other_scripts_say_what_they_lack(script: str) -> None:
    done = subprocess.run(
        [SCRIPTS / script], env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith(("Usage: ", "publish.sh: the environment has no GITHUB_REPOSITORY"))


@pytest.fixture
def committed(tmp_path: Path) -> Callable[[dict[str, object]], str]:
    """Commit numbers as a run leaves them, put others in their place, and return what committed.py says."""
    numbers = {
        "data": {"raw": {"records": 7}},
        "training": {
            "steps": 4,
            "tokens_seen": 100,
            "initial": {"validation_loss": 3.0},
            "best": {"validation_loss": 2.0},
        },
        "scores": {
            "method": "offline_composite",
            "base": {"score": 10.0, "ci95_low": 8.0, "ci95_high": 12.0},
            "finetuned": {"score": 50.0, "ci95_low": 48.0, "ci95_high": 52.0, "n": 9},
        },
        "benchmark": {
            "exam": {
                "cloze_0shot_plain": {
                    "items": 40,
                    "base": {"accuracy": 0.9, "ci95_low": 0.8, "ci95_high": 0.95},
                    "finetuned": {"accuracy": 0.8, "ci95_low": 0.7, "ci95_high": 0.9},
                }
            },
            "retention": {"base": {"bits_per_byte": 0.5}, "finetuned": {"bits_per_byte": 0.6}},
        },
    }

    def write(changes: dict[str, object]) -> None:
        for name, document in numbers.items():
            whole = json.loads(json.dumps(document))
            for key, value in changes.items():
                *above, last = key.split(".")
                if above[0] == name:
                    inside = whole
                    for part in above[1:]:
                        inside = inside[part]
                    inside[last] = value
            (tmp_path / f"metrics/{name}.json").write_text(json.dumps(whole))

    def say(changes: dict[str, object]) -> str:
        (tmp_path / "metrics").mkdir()
        write(changes)
        identity = ["-c", "user.name=Test", "-c", "user.email=test@localhost"]
        for words in (["init", "--quiet"], ["add", "."], [*identity, "commit", "--quiet", "--message", "run"]):
            subprocess.run(["git", *words], cwd=tmp_path, check=True)
        write({})
        done = subprocess.run([SCRIPTS / "committed.py"], cwd=tmp_path, check=True, capture_output=True, text=True)
        return done.stdout

    return say


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, ""),
        ({"scores.finetuned.score": 51.9, "training.best.validation_loss": 2.03}, ""),  # rounding
        ({"scores.finetuned.score": 52.1}, "finetuned.score is 52.1 as committed, 50.0 after a run"),
        ({"scores.base.score": None}, "base.score is null as committed"),
        ({"scores.finetuned.n": 8}, "finetuned.n is 8 as committed"),
        ({"training.best.validation_loss": 1.9}, "best.validation_loss is 1.9 as committed"),
        ({"training.best.validation_loss": "low"}, 'best.validation_loss is "low" as committed'),
        ({"training.steps": 5}, "steps is 5 as committed"),
        ({"data.raw.records": 8}, "other numbers of the data"),
        ({"benchmark.exam.cloze_0shot_plain.finetuned.accuracy": 0.85}, ""),
        ({"benchmark.retention.base.bits_per_byte": 0.505}, ""),
        ({"benchmark.exam.cloze_0shot_plain.finetuned.accuracy": 0.95}, "finetuned.accuracy is 0.95 as committed"),
        ({"benchmark.exam.cloze_0shot_plain.items": 41}, "exam.cloze_0shot_plain.items is 41 as committed"),
        ({"benchmark.exam": {}}, "exam.cloze_0shot_plain.items is null as committed, 40 after a run"),
        ({"benchmark.retention.finetuned.bits_per_byte": 0.5}, "retention.finetuned.bits_per_byte is 0.5 as committed"),
    ],
)
def test_committed_numbers_are_those_of_a_run_up_to_rounding(committed, changes: dict[str, object], words: str) -> None:
    said = committed(changes)
    assert words in said
    assert bool(words) == bool(said)
