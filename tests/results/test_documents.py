"""Every JSON file that a run leaves: what is damaged, of another shape or out of range is refused, never shown."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reprotune.errors import UserError
from reprotune.params.document import Document
from reprotune.report.page import render_report
from reprotune.report.preference import preference_section, read_preference
from reprotune.results.documents import Judged, checked
from reprotune.results.parity import read_parity
from reprotune.results.read import REMEDY, Results, load_results, load_speed
from reprotune.results.terminal import summary

ROOT = Path(__file__).resolve().parents[2]

DOCUMENTS = (
    *(f"{stage}/summary.json" for stage in ("raw", "split", "formatted", "tokens")),
    "judgements/metrics.json",
    "model/metrics.json",
    "speed/finetune.json",
    "export/gguf/parity.json",
    "preference/metrics.json",
)
GARBAGE = {
    "nothing": b"",
    "conflict": b'{\n<<<<<<< HEAD\n  "a": 1\n=======\n  "a": 2\n>>>>>>> b\n}\n',
    "latin-1": '{"a": "naïve"}'.encode("latin-1"),
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "NUL": b"\0" * 50,
    "list": b"[1, 2]",
    "null": b"null",
    "number": b"5",
    "text": b'"x"',
    "no keys": b"{}",
    "deep": b"[" * 100_000,
    "digits": b'{"rows": ' + b"9" * 5000 + b"}",
    "NaN": b'{"rows": NaN}',
}


def load_all(data: Path) -> tuple[Results, dict[str, Any], dict[str, Any]]:
    """Read everything that the report reads."""
    read_parity(data, REMEDY)
    return load_results(data), load_speed(data), read_preference(data)


def read(data: Path) -> str:
    """Read everything that the report reads, and make the page."""
    results, speed, preference = load_all(data)
    params = Document.read(ROOT / "params.yaml")
    return render_report(results, speed, params, "0" * 32, preference_section(preference))


@pytest.mark.parametrize("name", DOCUMENTS)
@pytest.mark.parametrize("content", GARBAGE.values(), ids=GARBAGE)
def test_garbage_is_one_sentence_with_the_command_that_mends_it(workspace: Path, name: str, content: bytes) -> None:
    (workspace / "data" / name).write_bytes(content)
    with pytest.raises(UserError) as refusal:
        read(workspace / "data")
    assert name in str(refusal.value) and "dvc repro" in str(refusal.value)
    assert "\n" not in str(refusal.value) and len(str(refusal.value)) < 500


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every value in a document, the first of a list alone."""
    if path:
        yield path
    items = value.items() if isinstance(value, dict) else enumerate(value[:1]) if isinstance(value, list) else ()
    for key, item in items:
        yield from places(item, (*path, key))


def replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    changed = json.loads(json.dumps(value))
    inside = changed
    for key in path[:-1]:
        inside = inside[key]
    inside[path[-1]] = new
    return changed


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_value_of_another_kind_is_named_or_harmless(workspace: Path, name: str) -> None:
    """Every value in turn becomes each of some others: either it is refused by name, or the page can be made."""
    path = workspace / "data" / name
    whole = json.loads(path.read_text())
    if "categories" in whole:
        whole["categories"] = dict(list(whole["categories"].items())[:1])
    for place in places(whole):
        for new in ({"a": {"b": [None]}}, "x", -1, None):
            path.write_text(json.dumps(replaced(whole, place, new)))
            try:
                load_all(workspace / "data")
            except UserError as error:
                assert str(place[-1]) in str(error) or str(place[0]) in str(error)
                continue
            assert read(workspace / "data")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("model/loss.csv", b"", "has no rows"),
        ("model/loss.csv", b"\xff\xfe", "is not UTF-8"),
        ("model/loss.csv", b"step,epoch,train_loss,validation_loss\n1,0.1,nan,\n", "no usable `train_loss`"),
        ("model/loss.csv", b"step,epoch,train_loss,validation_loss\n" + b"9" * 400 + b",1,1,1\n", "no usable `step`"),
        ("model/loss.csv", b'step,epoch,"' + b"x" * 200_000 + b'"\n1,1,1\n', "is not readable CSV"),
        ("judgements/scores.parquet", b"PAR1 nonsense", "is damaged"),
    ],
)
def test_other_files_of_another_shape_are_one_sentence(workspace: Path, name: str, content: bytes, words: str) -> None:
    (workspace / "data" / name).write_bytes(content)
    with pytest.raises(UserError) as refusal:
        read(workspace / "data")
    assert words in str(refusal.value) and "\n" not in str(refusal.value)


def test_keys_may_be_missing_only_in_runs_of_earlier_versions() -> None:
    with pytest.raises(UserError, match="it: base is missing: mend it"):
        checked({"method": "x"}, Judged, "it", "mend it")
    assert checked({"method": "x"}, Judged, "it", "mend it", whole=False) == {"method": "x"}
    with pytest.raises(UserError, match=r"it: difference\.verdict is 'magic': it should be one of better, worse"):
        checked({"difference": {"verdict": "magic"}}, Judged, "it", "mend it", whole=False)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "dvc.yaml").write_bytes((ROOT / "dvc.yaml").read_bytes())
    return tmp_path


@pytest.mark.parametrize("name", ["metrics/scores.json", "metrics/training.json", ".reprotune/timings/judge.json"])
@pytest.mark.parametrize("content", GARBAGE.values(), ids=GARBAGE)
def test_summary_refuses_garbage_in_what_it_shows(project: Path, name: str, content: bytes) -> None:

    (project / name).parent.mkdir(parents=True)
    (project / name).write_bytes(content)
    with pytest.raises(UserError) as refusal:
        summary(project)
    assert name in str(refusal.value) and ("git checkout" in str(refusal.value) or "delete" in str(refusal.value))
