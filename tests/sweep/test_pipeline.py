"""sweep/dvc.yaml: written on first use, one sweep after another, with the deps of its stages."""

from pathlib import Path

import pytest

from reprotune.artifacts import write_text
from reprotune.errors import UserError
from reprotune.params.values import read_document
from reprotune.pipeline.closure import stage_closure
from reprotune.pipeline.deps import check_deps
from reprotune.pipeline.dvc_yaml import expanded_stages
from reprotune.sweep.pipeline import PIPELINE, prepare, prepared


def test_sweeps_are_added_one_by_one_and_edits_stay(checkout: Path) -> None:
    assert prepared(checkout) == []
    assert prepare(checkout, "one")
    assert not prepare(checkout, "one")
    path = checkout / PIPELINE
    path.write_text(path.read_text().replace("  sweep_report:", "  # mine\n  sweep_report:"))
    assert prepare(checkout, "two")
    assert sorted(prepared(checkout)) == ["one", "two"]
    assert "# mine" in path.read_text()
    stages = dict(expanded_stages(read_document(path)))
    assert sorted(stages) == ["sweep@one", "sweep@two", "sweep_report@one", "sweep_report@two"]
    assert stages["sweep@two"]["cmd"] == "python -m stages.sweep two"
    assert "sweep/two.yaml" in stages["sweep_report@two"]["deps"]


def test_deps_are_the_closures_and_what_only_the_page_needs_is_no_dep_of_the_training(checkout: Path) -> None:
    prepare(checkout, "one")
    assert check_deps(checkout) == []
    stages = dict(expanded_stages(read_document(checkout / PIPELINE)))
    for name in ("sweep", "sweep_report"):
        assert stage_closure(name, checkout) <= set(stages[f"{name}@one"]["deps"])
    trained = set(stages["sweep@one"]["deps"])
    assert "src/reprotune/training/loop.py" in trained
    beside = ("/pages/", "/results/", "params/document.py")
    assert not [path for path in trained if any(part in path for part in beside)]


def test_a_file_that_is_no_pipeline_of_sweeps_is_told(checkout: Path) -> None:
    write_text(checkout / PIPELINE, "stages: {}\n")
    with pytest.raises(UserError, match=r"sweep/dvc\.yaml has no stage sweep with a foreach: delete it"):
        prepare(checkout, "one")
    write_text(checkout / PIPELINE, "stages: {sweep: {foreach: {one: {definition: a}}}}\n")
    with pytest.raises(UserError, match=r"has no line `foreach:` below its stages"):
        prepare(checkout, "two")
