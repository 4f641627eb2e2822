"""The files of the pipeline of repeats: written once, set by the command, left to DVC."""

from pathlib import Path

import pytest

from reprotune.errors import UserError
from reprotune.params.values import read_document
from reprotune.pipeline.closure import stage_closure
from reprotune.pipeline.deps import check_deps, fix_deps
from reprotune.runs.pipeline import PIPELINE, prepare
from reprotune.runs.settings import SETTINGS

ROOT = Path(__file__).resolve().parents[2]


def deps(root: Path, stage: str) -> list[str]:
    return list(read_document(root / PIPELINE)["stages"][stage]["deps"])


def test_the_pipeline_depends_on_what_its_stages_are_made_of(checkout: Path) -> None:
    assert not (ROOT / PIPELINE).exists()  # `dvc checkout` would fail for outs that were never made
    settings = prepare(checkout, None, None)
    assert (settings.seeds, settings.keep_models) == (5, False)
    assert check_deps(checkout) == []
    for stage in ("repeat", "publish"):
        assert stage_closure("repeat", checkout) <= set(deps(checkout, stage))
    assert "src/reprotune/training/loop.py" in deps(checkout, "repeat")
    assert "src/reprotune/params/document.py" not in deps(checkout, "repeat")


def test_settings_stay_until_they_are_set(checkout: Path) -> None:
    assert prepare(checkout, 3, True).seeds == 3
    before = (checkout / SETTINGS).read_bytes()
    assert prepare(checkout, None, None).model_dump() == {"seeds": 3, "keep_models": True}
    assert (checkout / SETTINGS).read_bytes() == before
    assert prepare(checkout, 4, None).model_dump() == {"seeds": 4, "keep_models": True}


def test_edits_of_the_pipeline_stay(checkout: Path) -> None:
    prepare(checkout, None, None)
    path = checkout / PIPELINE
    path.write_text(path.read_text().replace("  publish:", "  # mine\n  publish:"))
    prepare(checkout, 6, None)
    assert "# mine" in path.read_text()


def test_new_code_and_a_rubric_of_ones_own_become_deps(checkout: Path) -> None:
    prepare(checkout, None, None)
    script = checkout / "stages/repeat.py"
    script.write_text(f"{script.read_text()}\nimport reprotune.export.files\n")
    params = (checkout / "params.yaml").read_text().replace("  rubric: reference", "  rubric: mine.jinja")
    (checkout / "params.yaml").write_text(params)
    found = {str(finding) for finding in check_deps(checkout)}
    assert "repeat: missing dep src/reprotune/export/files.py" in found
    assert "repeat: missing dep mine.jinja" in found
    fix_deps(checkout)
    assert check_deps(checkout) == []
    assert "mine.jinja" in deps(checkout, "repeat")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("repeats: {seeds: 1, keep_models: false}\n", "repeats.seeds should be at least 2"),
        ("repeats: {seeds: five, keep_models: false}\n", "repeats.seeds should be a whole number"),
        ("seeds: 5\n", "section repeats is missing"),
    ],
)
def test_bad_settings_are_named(checkout: Path, text: str, message: str) -> None:
    (checkout / "repeats").mkdir()
    (checkout / SETTINGS).write_text(text)
    with pytest.raises(UserError, match=message):
        prepare(checkout, None, None)
