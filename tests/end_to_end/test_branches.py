"""Two branches with different params: comparing them, going back, taking the results to another machine."""

import json

import pytest

pytestmark = [pytest.mark.pipeline, pytest.mark.slow]

OUTPUTS = ("data/raw", "data/base", "data/split", "data/formatted", "data/tokens", "data/model", "data/speed")
OUTPUTS += ("data/responses", "data/judgements", "data/report", "metrics")


@pytest.fixture(scope="module")
def branched(finished, tmp_path_factory: pytest.TempPathFactory):
    """The finished repository on a branch `faster`, with another learning rate, run and committed."""
    clone = finished.copy(tmp_path_factory.mktemp("branches") / "clone")
    clone.run("git", "checkout", "--quiet", "-b", "faster")
    clone.set_params({"finetune.learning_rate": 0.02})
    after = ["benchmark@finetuned", "card", "export", "generate@finetuned", "judge", "preference", "report"]
    assert clone.repro() == sorted(["finetune", *after])
    clone.commit("a higher learning rate")
    return clone


def test_params_diff_names_the_change(branched):
    diff = json.loads(branched.run("dvc", "params", "diff", "main", "--json").stdout)
    assert diff == {"params.yaml": {"finetune.learning_rate": {"old": 0.0005, "new": 0.02, "diff": 0.0195}}}


def test_metrics_diff_compares_the_branches(branched):
    diff = json.loads(branched.run("dvc", "metrics", "diff", "main", "--json").stdout)
    loss = diff["metrics/training.json"]["best.validation_loss"]
    assert loss["new"] != loss["old"]
    assert loss["diff"] == pytest.approx(loss["new"] - loss["old"])
    assert "metrics/data.json" not in diff


def test_plots_diff_shows_both_branches(branched):
    page = branched.run("dvc", "plots", "diff", "main", "--json").stdout
    plots = json.loads(page)["data"]
    drawn = ("loss", "scores", "length", "categories", "subjects")
    assert plots.keys() == {f"metrics/plots/{name}.csv" for name in drawn}
    for parts in plots.values():
        assert {revision for part in parts for revision in part["revisions"]} == {"main", "workspace"}


def test_param_flipped_back_is_restored_without_a_run(branched, finished, tmp_path):
    clone = branched.copy(tmp_path / "clone")
    clone.set_params({"finetune.learning_rate": 0.0005})
    assert clone.repro() == []
    assert clone.hashes(*OUTPUTS) == finished.hashes(*OUTPUTS)
    clone.set_params({"finetune.learning_rate": 0.02})
    assert clone.repro() == []
    assert clone.hashes(*OUTPUTS) == branched.hashes(*OUTPUTS)


def test_another_machine_pulls_and_runs_nothing(finished, tmp_path):
    clone = finished.copy(tmp_path / "clone")
    clone.run("dvc", "remote", "add", "--default", "store", str(tmp_path / "store"))
    clone.commit("a remote")
    clone.run("dvc", "push")
    clone.run("git", "clone", "--quiet", str(clone.root), str(tmp_path / "second"))
    second = type(clone)(tmp_path / "second", clone.home)
    assert second.repro("--pull", "--allow-missing") == []
    second.run("dvc", "pull")
    assert second.hashes(*OUTPUTS) == finished.hashes(*OUTPUTS)
    assert json.loads(second.run("dvc", "status", "--json").stdout) == {}
