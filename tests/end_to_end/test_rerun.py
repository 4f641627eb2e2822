"""What `dvc repro` runs again after a change, and what it restores."""

import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from dvc.repo import Repo

pytestmark = pytest.mark.pipeline

FETCH = {"fetch@dataset", "fetch@base", "fetch@benchmark"}
GENERATE = {"generate@base", "generate@finetuned"}
BENCHMARK = {"benchmark@base", "benchmark@finetuned"}
ALL = FETCH | {"split", "format", "tokenize", "finetune"} | GENERATE | BENCHMARK
ALL |= {"judge", "preference", "export", "card", "report"}
METRICS = {
    f"metrics/{name}.json" for name in ("scores", "training", "data", "speed", "benchmark", "preference", "export")
}
PUBLISHED = METRICS | {f"metrics/plots/{name}.csv" for name in ("loss", "scores", "length")}

AFTER_PARAM = {
    ("fetch.dataset.max_chars", 10_000): {"fetch@dataset"},
    ("fetch.dataset.columns.input", "context"): {"fetch@dataset"},
    ("fetch.base.revision", "0" * 40): {"fetch@base"},
    ("split.seed", 7): {"split"},
    ("format.template", "phi3"): {"format"} | BENCHMARK,  # which may ask in its frame
    ("tokenize.max_length", 256): {"tokenize"},
    ("finetune.learning_rate", 2e-3): {"finetune"},
    ("finetune.lora.rank", 4): {"finetune"},
    ("generate.temperature", 0.5): GENERATE,
    ("generate.max_new_tokens", 8): GENERATE | {"export"},
    ("judge.seed", 7): {"judge"},
    ("benchmark.seed", 7): BENCHMARK,
    ("fetch.benchmark.task", "other"): {"fetch@benchmark"},
    ("preference.min_seconds", 2.0): {"preference"},
}
"""A changed param -> the stages that are out of date besides the report and the card, which show all params."""

AFTER_EDIT = {
    "src/reprotune/artifacts.py": ALL,
    "src/reprotune/params/schema.py": ALL,
    "src/reprotune/params/sections/split.py": {"split", "card", "report"},
    "src/reprotune/params/document.py": {"card", "report"},
    "src/reprotune/scratch.py": FETCH | {"finetune", "judge", "export", "card"} | GENERATE,
    "src/reprotune/dataset/sources/download.py": FETCH,
    "src/reprotune/dataset/near_duplicates.py": {"split"},
    "src/reprotune/dataset/templates/instructions.py": {"format", "export", "card"} | BENCHMARK,
    "src/reprotune/dataset/tokenization.py": {"tokenize"},
    "src/reprotune/dataset/templates/chat.py": {"format", "export"} | BENCHMARK,
    "src/reprotune/dataset/tokenizers/gpt2.py": FETCH | {"tokenize", "finetune", "export"} | GENERATE | BENCHMARK,
    "src/reprotune/dataset/tokenizers/escapes.py": FETCH
    | {"format", "tokenize", "finetune", "export", "card"}
    | GENERATE
    | BENCHMARK,
    "src/reprotune/dataset/collate.py": {"finetune"},
    "src/reprotune/training/loss.py": {"finetune"},
    "src/reprotune/model/lora.py": {"finetune"},
    "src/reprotune/model/network.py": {"finetune", "export"} | GENERATE | BENCHMARK,
    "src/reprotune/generation/sampling.py": GENERATE | {"export"},
    "src/reprotune/export/modelfile.py": {"export"},
    "src/reprotune/export/card.py": {"card"},
    "src/reprotune/judging/offline.py": {"judge", "preference"},
    "src/reprotune/judging/questions/rubrics/chapter.jinja": {"judge"},
    "src/reprotune/preference/votes.py": {"preference"},
    "src/reprotune/preference/ballot.py": set(),
    "src/reprotune/pages/style.css": {"report"},
    "stages/tokenize.py": {"tokenize"},
    "stages/report.py": {"report"},
    "data/embedded/dataset.jsonl": {"fetch@dataset"},
    "data/embedded/base/config.json": {"fetch@base"},
    "data/votes/README.md": {"preference"},
    # nothing of these can change a result
    "src/reprotune/console.py": set(),
    "src/reprotune/faults.py": set(),
    "src/reprotune/pipeline/stage.py": set(),
    "src/reprotune/cli.py": set(),
    "src/reprotune/results/terminal.py": set(),
    "src/reprotune/pipeline/deps.py": set(),
    "src/reprotune/pipeline/dvc_yaml.py": set(),
    "README.md": set(),
    "Makefile": set(),
}
"""A file with a line more -> the stages that are out of date."""


@pytest.fixture(scope="module")
def used(finished, tmp_path_factory: pytest.TempPathFactory):
    """A copy of the finished repository for tests that leave it as it was."""
    return finished.copy(tmp_path_factory.mktemp("rerun") / "clone")


@pytest.fixture(scope="module")
def out_of_date(used) -> Iterator[Callable[[], set[str]]]:
    """Return the stages with a changed param, dep or out, as `dvc status` does.

    DVC runs in this process and reads dvc.yaml and dvc.lock once: a command for each case would take a minute.
    """
    with pytest.MonkeyPatch.context() as patch:
        for name in ("DVC_SITE_CACHE_DIR", "DVC_NO_ANALYTICS"):
            patch.setenv(name, used.environment[name])
        with Repo(str(used.root)) as repo:
            yield lambda: {name.rpartition(":")[2] for name in repo.status()}


def test_second_repro_runs_nothing(used):
    assert used.repro() == []
    assert json.loads(used.run("dvc", "status", "--json").stdout) == {}
    assert used.run("git", "status", "--short").stdout == ""


def test_git_gets_the_lock_file_and_the_published_numbers_only(used):
    changed = set(used.run("git", "diff", "--name-only", "HEAD~1").stdout.split())
    assert {"dvc.lock", *PUBLISHED} <= changed
    for name in changed - {"dvc.lock"}:
        assert name.startswith("metrics/") or Path(name).name == ".gitignore"


def test_published_metrics_are_finite_numbers_and_labels(used):
    def check(value: object) -> None:
        if isinstance(value, dict):
            assert value
            for item in value.values():
                check(item)
        elif not isinstance(value, str):
            assert isinstance(value, (int, float))
            assert math.isfinite(value)

    for name in METRICS:
        check(used.read_json(name))
    assert used.read_json("metrics/scores.json")["method"] == "offline_composite"


@pytest.mark.parametrize(("name", "value"), AFTER_PARAM)
def test_changed_param_makes_its_stages_run(used, out_of_date, name, value):
    before = (used.root / "params.yaml").read_text(encoding="utf-8")
    used.set_params({name: value})
    try:
        assert out_of_date() == AFTER_PARAM[name, value] | {"report", "card"}
    finally:
        (used.root / "params.yaml").write_text(before, encoding="utf-8")


@pytest.mark.parametrize("name", AFTER_EDIT)
def test_changed_file_makes_its_stages_run(used, out_of_date, name):
    before = (used.root / name).read_bytes()
    (used.root / name).write_bytes(before + b"\n")
    try:
        assert out_of_date() == AFTER_EDIT[name]
    finally:
        (used.root / name).write_bytes(before)


def test_comment_stops_at_the_stage_that_reads_it(clone):
    """The stage runs, its outs stay the same, and so nothing after it runs."""
    clone.edit("src/reprotune/dataset/near_duplicates.py", lambda text: text + "# a comment\n")
    assert clone.repro() == ["split"]
    clone.run("git", "checkout", "src")
    assert clone.repro() == [], "restored from the run cache"


def test_params_without_effect_stop_at_their_stage(clone):
    """With `order: file` the seed has no effect; the report and the card run because they show the params."""
    clone.set_params({"split.seed": 7})
    assert clone.repro() == ["card", "report", "split"]
