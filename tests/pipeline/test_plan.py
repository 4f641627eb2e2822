"""The plan as a person reads it; that it foretells what DVC does is tested in tests/end_to_end/."""

import json
import re
from pathlib import Path

import pytest

from reprotune.pipeline.plan import Reason, StagePlan, make_plan, plan_conclusion
from tests.builders.command_line import reprotune

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = (ROOT / "params.yaml").read_text(encoding="utf-8")
DVC_YAML = """\
stages:
  split:
    cmd: python -m stages.split
    params:
      - split
    deps:
      - data/raw
    outs:
      - data/split
"""


@pytest.fixture
def pipeline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "params.yaml").write_text(SHIPPED, encoding="utf-8")
    (tmp_path / "dvc.yaml").write_text(DVC_YAML)
    (tmp_path / "data/raw").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("columns", ["30", "64", "80", "300"])
@pytest.mark.parametrize(("remote", "last_command"), [(True, "dvc repro --pull --allow-missing"), (False, "dvc repro")])
def test_commands_are_never_broken(
    monkeypatch: pytest.MonkeyPatch, columns: str, remote: bool, last_command: str
) -> None:
    plan = [
        StagePlan("fetch", "run", [Reason("unfollowed", "x")], []),
        StagePlan("split", "maybe", [Reason("upstream", "after fetch")], ["data/x"]),
    ]
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setattr("reprotune.pipeline.plan.make_plan", lambda _: plan)
    monkeypatch.setattr("reprotune.pipeline.plan.params_fault", lambda _: None)
    monkeypatch.setattr("reprotune.pipeline.settings.has_remote", lambda _: remote)
    last = reprotune("plan").stdout.splitlines()[-1]
    assert last == plan_conclusion(plan, remote=remote)
    commands = re.findall(r"`(.+?)`", last.partition(" Next: ")[2])
    assert commands == ["reprotune deps --fix", last_command]
    assert "`dvc checkout` restores what the cache has" in last


LOCK = """\
schema: '2.0'
stages:
  split:
    cmd: python -m stages.split
    deps:
    - path: data/mine.csv
      md5: 0123456789abcdef0123456789abcdef
"""


@pytest.mark.parametrize(
    ("dep", "source", "reason", "conclusion"),
    [
        ("data/mine.csv", "embedded", "absent", "DVC stops at the missing file: restore it, or correct what names it."),
        ("rows.csv", "rows.csv", "absent", "DVC stops at the missing file: restore it, or correct what names it."),
        ("mine.jinja", "embedded", "unneeded", "Next: `reprotune deps --fix`, then `dvc repro`."),
        ("src/gone.py", "embedded", "unneeded", "Next: `reprotune deps --fix`, then `dvc repro`."),
    ],
)
def test_a_dep_that_is_gone_stops_dvc(pipeline: Path, dep: str, source: str, reason: str, conclusion: str) -> None:
    (pipeline / "dvc.yaml").write_text(
        "stages:\n  fetch:\n    foreach:\n      dataset: {}\n    do:\n      cmd: python -m stages.fetch\n"
        f"      deps: [{dep}]\n      outs: [data/raw]\n"
    )
    (pipeline / "params.yaml").write_text(SHIPPED.replace("source: embedded", f"source: {source}", 1))
    (stage,) = make_plan(pipeline)
    assert reason in [found.kind for found in stage.reasons]
    assert reprotune("plan").stdout.endswith(f"1 of 1 stages will run. {conclusion}\n")


def test_what_dvc_add_keeps_is_unchanged_where_it_is_missing(pipeline: Path) -> None:
    (pipeline / "dvc.yaml").write_text(
        "stages:\n  split:\n    cmd: python -m stages.split\n    deps: [data/mine.csv]\n"
    )
    (pipeline / "dvc.lock").write_text(LOCK)
    added = pipeline / "data/mine.csv.dvc"
    added.write_text("outs:\n- md5: 0123456789abcdef0123456789abcdef\n  path: mine.csv\n")
    (stage,) = make_plan(pipeline)
    assert (stage.state, stage.reasons, stage.not_here) == ("up to date", [], ["data/mine.csv"])
    added.write_text("outs:\n- md5: fedcba9876543210fedcba9876543210\n  path: mine.csv\n")
    (stage,) = make_plan(pipeline)
    assert stage.reasons == [Reason("data", "data/mine.csv: changed")]
    added.unlink()
    (stage,) = make_plan(pipeline)
    assert [found.kind for found in stage.reasons] == ["absent"]


def test_faults_of_params_are_named_and_no_run_is_recommended(pipeline: Path) -> None:
    assert reprotune("plan").stdout.endswith("1 of 1 stages will run. Next: `dvc repro`.\n")
    text = SHIPPED.replace("backend: offline", "backend: olama").replace("epochs: 2", "epochs: 0")
    (pipeline / "params.yaml").write_text(text, encoding="utf-8")
    outcome = reprotune("plan")
    assert outcome.exit_code == 1
    assert outcome.stdout.endswith("1 of 1 stages will run. None can before params.yaml is right.\n")
    assert outcome.stderr.startswith(
        "error: params.yaml: finetune.epochs should be at least 1, but it is 0; judge.backend"
    )
    assert outcome.stderr.count("\n") == 1
    outcome = reprotune("plan", "--json")
    assert outcome.exit_code == 1 and outcome.stderr.startswith("error: params.yaml: finetune.epochs")
    assert json.loads(outcome.stdout)["stages"][0]["name"] == "split"
