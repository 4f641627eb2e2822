"""A stage that fails or is killed: what the person reads, what is lost (nothing), how to go on."""

import json
import subprocess
import time

import psutil
import pytest

pytestmark = pytest.mark.pipeline

GO_BACK = "git stash && dvc checkout"


@pytest.mark.parametrize(
    ("param", "value", "sentence", "conclusion"),
    [
        ("split.test", 0.001, "split: error: the test split would be empty", "Next: `dvc repro`."),
        (
            "tokenize.max_length",
            0,
            "tokenize: error: params.yaml: tokenize.max_length should be at least 2",
            "None can before params.yaml is right.",
        ),
    ],
)
def test_failed_stage_says_one_sentence_and_the_way_back(clone, finished, param, value, sentence, conclusion):
    clone.set_params({param: value})
    failed = clone.run("dvc", "repro", check=False)
    said = failed.stdout + failed.stderr
    assert failed.returncode != 0
    assert "Traceback" not in said
    assert said.count("error:") == 1
    assert sentence in said
    plan = clone.run("reprotune", "plan", check=False).stdout
    assert "missing here" not in plan, "what DVC has deleted for the run is made anew by it"
    assert plan.endswith(f"{conclusion}\n")
    assert f"`{GO_BACK}` goes back" in said
    edited = (clone.root / "params.yaml").read_bytes()
    clone.run("sh", "-c", GO_BACK)
    assert clone.hashes("data", "metrics") == finished.hashes("data", "metrics")
    assert clone.repro() == []
    clone.run("git", "stash", "pop")
    assert (clone.root / "params.yaml").read_bytes() == edited, "no edit is lost"


def test_a_fault_in_a_later_section_stops_the_first_stage_that_would_run(clone):
    clone.set_params({"finetune.epochs": 3, "judge.backend": "olama", "generate.top_k": "many"})
    faults = (
        "error: params.yaml: generate.top_k should be a whole number, but it is 'many'; "
        "judge.backend should be 'offline', 'ollama' or 'openai', but it is 'olama'"
    )
    planned = clone.run("reprotune", "plan", check=False)
    assert planned.returncode == 1
    assert planned.stderr == f"{faults}\n"
    assert "None can before params.yaml is right." in planned.stdout
    failed = clone.run("dvc", "repro", check=False)
    assert f"finetune: {faults}\n" in failed.stderr
    assert not list((clone.root / ".reprotune/finetune").iterdir()), "no step was trained"
    clone.set_params({"judge.backend": "offline", "generate.top_k": None})
    assert "finetune" in clone.repro("finetune")


def test_a_fault_in_another_section_is_no_reason_to_run(clone):
    before = json.loads(clone.run("dvc", "status", "--json").stdout)
    clone.set_params({"judge.backend": "olama"})
    assert before == {}
    assert set(json.loads(clone.run("dvc", "status", "--json").stdout)) == {"card", "judge", "report"}


def test_dataset_that_cannot_be_read_leaves_the_other_artifacts(clone, finished):
    clone.edit("data/embedded/dataset.jsonl", lambda text: "<html>no such page</html>\n")
    failed = clone.run("dvc", "repro", check=False)
    assert failed.returncode != 0
    assert "fetch@dataset: error: " in failed.stderr
    assert "Traceback" not in failed.stdout + failed.stderr
    kept = clone.hashes("data/model", "data/responses", "data/judgements", "data/report")
    assert kept == finished.hashes("data/model", "data/responses", "data/judgements", "data/report")
    clone.run("sh", "-c", GO_BACK)
    assert clone.repro() == []


@pytest.mark.slow
def test_killed_finetune_goes_on_and_gives_the_same_bytes(clone, finished, tmp_path):
    longer = {"finetune.epochs": 3, "finetune.batch_size": 8}
    undisturbed = finished.copy(tmp_path / "undisturbed")
    undisturbed.set_params(longer)
    assert undisturbed.repro("finetune") == ["finetune"]

    clone.set_params(longer)
    # a checkpoint after (nearly) each step, where a minute lies between two of a real run
    clone.edit("src/reprotune/training/loop.py", lambda text: text.replace("SAVE_SECONDS = 60.0", "SAVE_SECONDS = 0.0"))
    kill_stage_after_checkpoint(clone)
    total = undisturbed.read_json("data/model/metrics.json")["steps"]
    indexes = (clone.root / ".reprotune/finetune").glob("*/progress-*.json")
    saved = max(clone.read_json(str(index))["progress"]["step"] for index in indexes)
    assert 0 < saved < total

    assert not (clone.root / "data/model").exists(), "no half-made model"
    resumed = clone.run("dvc", "repro", "finetune")
    assert f"resuming after step {saved} of {total}" in resumed.stdout + resumed.stderr
    assert clone.hashes("data/model") == undisturbed.hashes("data/model")
    assert not list((clone.root / ".reprotune/finetune").glob("*/state-*")), "a finished run leaves its result alone"
    clone.repro()
    assert not list((clone.root / ".reprotune/finetune").iterdir()), "and not even that once DVC has saved it"


def kill_stage_after_checkpoint(clone) -> None:
    """Start `dvc repro finetune`, kill -9 the stage's process once it has saved progress, wait for DVC's end."""
    dvc = subprocess.Popen(
        ["dvc", "repro", "finetune"],
        cwd=clone.root,
        env=clone.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 120
    while not list((clone.root / ".reprotune").glob("finetune/*/progress-*.json")):
        assert dvc.poll() is None, "the stage ended before it saved progress"
        assert time.monotonic() < deadline
        time.sleep(0.005)
    for process in psutil.Process(dvc.pid).children(recursive=True):
        if "stages.finetune" in process.cmdline():
            process.kill()
    assert dvc.wait(timeout=60) != 0
