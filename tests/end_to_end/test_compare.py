"""Plan, compare, gate and the review script on two branches of a real clone, with and without its data."""

import hashlib
import json
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

pytestmark = [pytest.mark.pipeline, pytest.mark.slow]

REVIEW = ".github/scripts/review.sh"
TIMES = 2.2
"""Processor time that a comparison may take, in times of `dvc metrics diff`: seconds would measure the machine."""


@pytest.fixture(scope="module")
def branches(finished: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The finished repository with a remote, and a branch `longer` whose answers have more tokens."""
    folder = tmp_path_factory.mktemp("branches")
    clone = finished.copy(folder / "clone")
    clone.run("dvc", "remote", "add", "--default", "storage", str(folder / "storage"))
    clone.commit("remote")
    clone.run("dvc", "push", "--quiet")
    clone.run("git", "checkout", "--quiet", "-b", "longer")
    clone.set_params({"generate.max_new_tokens": 6})
    clone.repro()
    clone.commit("longer answers")
    clone.run("dvc", "push", "--quiet")
    return clone


@pytest.fixture
def bare(branches: Any, tmp_path: Path) -> Any:
    """A clone of Git alone, on branch `longer`: no data, an empty cache."""
    branches.run("git", "clone", "--quiet", ".", str(tmp_path / "bare"))
    clone = type(branches)(tmp_path / "bare", branches.home)
    clone.run("git", "branch", "main", "origin/main")
    return clone


def plan(clone: Any) -> dict[str, dict[str, Any]]:
    stages = json.loads(clone.run("reprotune", "plan", "--json").stdout)["stages"]
    return {stage["name"]: stage for stage in stages}


def states(stages: dict[str, dict[str, Any]]) -> dict[str, list[str]]:
    """Return the stages by what the plan says about them."""
    found: dict[str, list[str]] = {"run": [], "maybe": [], "up to date": []}
    for name, stage in stages.items():
        found[stage["state"]].append(name)
    return {state: sorted(names) for state, names in found.items()}


def reasons(stage: dict[str, Any]) -> list[str]:
    return [reason["text"] for reason in stage["reasons"]]


def processor_seconds(action: Callable[[], Any]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    action()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def test_the_time_of_a_run_elsewhere_is_not_needed(branches: Any, tmp_path: Path) -> None:
    """Everything but that comes out the same when a clone runs the pipeline itself, and so is in its own cache."""
    clone = branches.copy(tmp_path / "clone")
    clone.run("dvc", "remote", "remove", "storage")
    lock = YAML(typ="safe").load(clone.run("git", "show", "main:dvc.lock").stdout)
    (out,) = (out for out in lock["stages"]["finetune"]["outs"] if out["path"].startswith("data/speed"))
    (clone.root / ".dvc/cache/files/md5" / out["md5"][:2] / out["md5"][2:]).unlink()
    clone.run("reprotune", "compare", "main", "longer")


def test_two_branches_are_compared_without_touching_the_workspace(branches: Any, tmp_path: Path) -> None:
    before = branches.hashes("data", "metrics"), branches.run("git", "status", "--porcelain").stdout
    page, text = tmp_path / "compare.html", tmp_path / "compare.md"
    command = ["reprotune", "compare", "main", "longer", "--html", str(page), "--markdown", str(text)]
    usual = processor_seconds(lambda: branches.run("dvc", "metrics", "diff", "main", "longer"))
    assert processor_seconds(lambda: branches.run(*command)) < TIMES * usual
    markdown = text.read_text(encoding="utf-8")
    assert "| ` generate.max_new_tokens ` | ` 4 ` | ` 6 ` |" in markdown
    assert "in the same splits" in markdown
    assert "generate.max_new_tokens" in page.read_text(encoding="utf-8")
    assert (branches.hashes("data", "metrics"), branches.run("git", "status", "--porcelain").stdout) == before
    own = branches.run("reprotune", "compare", "longer").stdout
    assert "Params: no difference" in own
    assert "the same on every one of" in own


def test_a_clone_without_data_plans_and_compares(bare: Any) -> None:
    stages = plan(bare)
    assert states(stages)["up to date"] == sorted(stages)
    assert "data/model" in stages["finetune"]["not_here"]
    shown = bare.run("reprotune", "plan").stdout
    assert "dvc repro --pull --allow-missing" in " ".join(shown.split())
    compared = bare.run("reprotune", "compare", "main").stdout
    assert "generate.max_new_tokens" in compared
    assert not list((bare.root / "data/responses").glob("*.parquet"))


def test_what_cannot_be_had_is_one_sentence(bare: Any) -> None:
    first = bare.run("git", "rev-list", "--max-parents=0", "HEAD").stdout.strip()
    for revision, words in (("nope", "Git knows no revision 'nope'"), (first, "has no dvc.lock")):
        failed = bare.run("reprotune", "compare", revision, check=False)
        assert failed.returncode == 1
        assert words in failed.stderr
        assert failed.stderr.count("\n") == 1
    bare.run("dvc", "remote", "modify", "--local", "storage", "url", "/nowhere")
    failed = bare.run("reprotune", "compare", "main", check=False)
    assert failed.returncode == 1
    assert "is not in DVC's cache and cannot be read from a remote" in failed.stderr.splitlines()[-1]


def test_the_plan_names_the_reason(clone: Any) -> None:
    assert states(plan(clone))["up to date"] == sorted(plan(clone))

    clone.set_params({"finetune.epochs": 9})
    stages = plan(clone)
    assert reasons(stages["finetune"]) == ["finetune.epochs: 1 -> 9"]
    assert states(stages) == {
        "run": ["card", "finetune", "report"],
        "maybe": ["benchmark@finetuned", "export", "generate@finetuned", "judge", "preference"],
        "up to date": [
            *("benchmark@base", "fetch@base", "fetch@benchmark", "fetch@dataset", "format", "generate@base"),
            *("split", "tokenize"),
        ],
    }
    clone.run("git", "checkout", "--quiet", "params.yaml")

    clone.edit("src/reprotune/dataset/templates/instructions.py", lambda text: text + "# a comment\n")
    clone.edit("dvc.yaml", lambda text: text.replace("cmd: python -m stages.split", "cmd: python  -m stages.split"))
    stages = plan(clone)
    assert reasons(stages["format"]) == ["src/reprotune/dataset/templates/instructions.py: changed"]
    assert reasons(stages["tokenize"]) == ["after format"]
    assert reasons(stages["split"]) == ["its command changed"]
    clone.run("git", "checkout", "--quiet", "src", "dvc.yaml")

    (clone.root / "dvc.lock").unlink()
    stages = plan(clone)
    assert states(stages)["run"] == sorted(stages)
    assert reasons(stages["judge"]) == ["never run: it is not in dvc.lock"]


def test_what_the_plan_says_is_what_runs(clone: Any) -> None:
    clone.set_params({"judge.seed": 7})
    planned = states(plan(clone))
    ran = clone.repro()
    assert set(planned["run"]) <= set(ran) <= set(planned["run"] + planned["maybe"])


def test_the_gate_says_what_is_broken(branches: Any, tmp_path: Path) -> None:
    rules = tmp_path / "gate.yaml"
    change = "{metric: finetuned.score, better: higher, tolerance: 50}"
    rules.write_text(f"changes: [{change}]\nlimits: []\n")
    assert "kept" in branches.run("reprotune", "gate", "--rules", str(rules), "--against", "longer").stdout
    rules.write_text("changes: []\nlimits: [{metric: finetuned.score, at_least: 100.5}]\n")
    broken = branches.run("reprotune", "gate", "--rules", str(rules), check=False)
    assert broken.returncode == 1
    assert "1 of 1 rules are broken" in broken.stderr


@pytest.mark.parametrize("mode", ["check", "run"])
def test_the_review_runs_by_hand(branches: Any, tmp_path: Path, mode: str) -> None:
    clone = branches.copy(tmp_path / "clone")
    (clone.root / "gate.yaml").write_text("changes: []\nlimits: [{metric: finetuned.coverage, at_least: 0.5}]\n")
    clone.commit("a rule that this tiny model keeps")
    clone.run(REVIEW, "main", str(tmp_path / "out"), mode)
    summary = (tmp_path / "out/summary.md").read_text(encoding="utf-8")
    assert summary.startswith("<!-- reprotune review -->\n## ")
    for part in ("generate.max_new_tokens", "### Gate: passed", "### Plan of `dvc repro`", "Nothing has to run."):
        assert part in summary
    assert len(summary) < 65_000
    assert (tmp_path / "out/compare.html").is_file()
    assert clone.run("git", "status", "--porcelain").stdout == ""
    assert clone.run("git", "worktree", "list").stdout.count("\n") == 1


def test_params_that_never_ran_fail_the_review(bare: Any, tmp_path: Path) -> None:
    """Nothing is compared: the results that dvc.lock names are those of other params."""
    assert bare.run("reprotune", "plan", "--check").returncode == 0, "missing data is not staleness"
    bare.set_params({"finetune.learning_rate": 0.5})
    bare.commit("a bold learning rate")
    stale = bare.run("reprotune", "plan", "--check", check=False)
    assert stale.returncode == 1
    assert "dvc.lock is out of date" in stale.stderr
    failed = bare.run(REVIEW, "main", str(tmp_path / "out"), check=False)
    assert failed.returncode == 1
    summary = (tmp_path / "out/summary.md").read_text(encoding="utf-8")
    assert "## The review failed: dvc.lock is out of date" in summary
    assert "finetune.learning_rate: 0.0005 -> 0.5" in summary
    assert not (tmp_path / "out/compare.html").exists()


@pytest.fixture
def alone(branches: Any, tmp_path: Path) -> Any:
    """A clone of Git alone whose results nobody else has: no remote, an empty cache; its gate passes."""
    branches.run("git", "clone", "--quiet", ".", str(tmp_path / "alone"))
    clone = type(branches)(tmp_path / "alone", branches.home)
    clone.run("git", "branch", "main", "origin/main")
    clone.run("dvc", "remote", "remove", "storage")
    (clone.root / "gate.yaml").write_text("changes: []\nlimits: [{metric: finetuned.coverage, at_least: 0.5}]\n")
    clone.commit("without a remote")
    return clone


def reviewed(clone: Any, out: Path) -> tuple[int, str]:
    """Return the exit code and the summary of a review that runs what it has to."""
    done = clone.run(REVIEW, "main", str(out), "run", check=False)
    return done.returncode, (out / "summary.md").read_text(encoding="utf-8")


def test_what_nobody_has_is_run(alone: Any, tmp_path: Path) -> None:
    code, summary = reviewed(alone, tmp_path / "out")
    assert code == 0, summary
    assert "| ` generate.max_new_tokens ` | ` 4 ` | ` 6 ` |" in summary
    assert "not those of a run" not in summary


def test_a_commit_that_never_ran_fails_although_a_run_mends_it(branches: Any, tmp_path: Path) -> None:
    clone = branches.copy(tmp_path / "clone")
    (clone.root / "gate.yaml").write_text("changes: []\nlimits: [{metric: finetuned.coverage, at_least: 0.5}]\n")
    clone.set_params({"generate.max_new_tokens": 5})
    clone.commit("five tokens, never run")
    code, summary = reviewed(clone, tmp_path / "out")
    assert code == 1
    assert "## The committed results are not those of a run" in summary
    assert "generate.max_new_tokens: 6 -> 5" in summary, "the plan says why"
    assert "| ` generate.max_new_tokens ` | ` 4 ` | ` 5 ` |" in summary, "and the comparison is that of the run"
    assert "### Gate: passed" in summary


def test_numbers_that_no_run_gives_fail_the_review(branches: Any, tmp_path: Path) -> None:
    """The hash in dvc.lock is that of the invented numbers, so DVC has nothing to run."""
    clone = branches.copy(tmp_path / "clone")
    (clone.root / "gate.yaml").write_text("changes: []\nlimits: [{metric: finetuned.coverage, at_least: 0.5}]\n")
    path = clone.root / "metrics/scores.json"
    old = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
    scores = json.loads(path.read_text())
    scores["finetuned"]["score"] = 99.5
    path.write_text(json.dumps(scores))
    new = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
    clone.edit("dvc.lock", lambda text: text.replace(old, new))
    clone.commit("a miracle")
    assert clone.run("reprotune", "plan", "--check").returncode == 0
    code, summary = reviewed(clone, tmp_path / "out")
    assert code == 1
    assert "## The committed results are not those of a run" in summary
    assert "metrics/scores.json: finetuned.score is 99.5 as committed" in summary


def test_a_review_that_fails_says_why(branches: Any, tmp_path: Path) -> None:
    clone = branches.copy(tmp_path / "clone")
    first = clone.run("git", "rev-list", "--max-parents=0", "HEAD").stdout.strip()
    failed = clone.run(REVIEW, first, str(tmp_path / "out"), check=False)
    assert failed.returncode == 1
    summary = (tmp_path / "out/summary.md").read_text(encoding="utf-8")
    assert "cannot be compared" in summary
    assert "has no dvc.lock" in summary
