"""The command `calibrate`: the published figures, misaligned lists, mappings that can be stored and applied."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.builders.command_line import reprotune

ROWS = [
    {"instruction": "Name it.", "output": f"It is {n}.", "said": f"It is {m}.", "gold": g, "judge": j}
    for n, m, g, j in [
        (1, 1, 100, 90),
        (2, 3, 0, 40),
        (4, 4, 90, None),
        (5, 7, 10, 50),
        (6, 6, 100, 95),
        (8, 0, 20, 30),
    ]
]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "answers.json"
    path.write_text(json.dumps(ROWS))
    return path


def run(*arguments: Any) -> Any:
    return reprotune("calibrate", *arguments)


def test_the_published_figures(shared_data: Path) -> None:
    folder = shared_data / "llms-from-scratch"
    labels, scores = (folder / f"scores/{judge}-model-1-response.json" for judge in ("gpt4", "llama3-8b"))
    file = folder / "eval-example-data.json"
    found = run(file, "--answer", "model 1 response", "--labels", labels, "--scores", scores)
    values = dict(line.strip().rsplit(maxsplit=1) for line in found.stdout.splitlines()[1:])
    assert (values["pearson"], values["spearman"], values["kendall"]) == ("0.80489", "0.698406", "0.57292")
    assert values["mean absolute error"] == "15.92"


def test_a_list_with_a_missing_entry_is_misaligned(shared_data: Path) -> None:
    folder = shared_data / "llms-from-scratch"
    labels, scores = (folder / f"scores/{judge}-model-2-response.json" for judge in ("gpt4", "llama3-8b"))
    found = run(
        folder / "eval-example-data.json", "--answer", "model 2 response", "--labels", labels, "--scores", scores
    )
    assert found.exit_code == 1
    assert "is misaligned: it holds 99 scores for the 100 answers" in found.stderr
    assert found.stderr.count("\n") == 1


def test_scores_in_fields_and_nulls_are_left_out(file: Path) -> None:
    found = run(file, "--answer", "said", "--labels", "gold", "--scores", "judge")
    assert found.exit_code == 0, found.stderr
    assert found.stdout.startswith("judge  (n = 5)\n")
    assert run(file, "--answer", "said", "--labels", "gold").stdout.startswith("offline_composite  (n = 6)\n")


def test_the_judge_of_the_params_can_be_calibrated(file: Path, service: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (Path(__file__).resolve().parents[3] / "params.yaml").read_text()
    file.with_name("params.yaml").write_text(text.replace("backend: offline", "backend: openai"))
    monkeypatch.chdir(file.parent)
    for _ in range(2):
        found = run(file, "--answer", "said", "--labels", "gold", "--judge")
        assert re.match(r"openai:llama3:reference:[0-9a-f]{8}  \(n = 6\)\n", found.stdout), found.stderr
        assert len(service.calls) == 3  # three answers are exact; the second time the store knows the others


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--answer", "answer", "--labels", "gold"], "row 1 has no field 'answer'"),
        (["--answer", "said", "--labels", "gone"], "no file gone, and no field of that name"),
        (["--answer", "said", "--labels", "output"], "'It is 1.', but a score is a number"),
        (["--answer", "said", "--labels", "gold", "--fit", "magic"], "isotonic, ridge"),
        (["--answer", "said", "--labels", "gold", "--mapping", "none.json"], "none.json is missing"),
        (
            ["--answer", "said", "--labels", "gold", "--fit", "isotonic", "--output", "."],
            "is a folder: name a file",
        ),
        (["--answer", "said", "--labels", "/"], "/ is a folder and no file"),
        (["--answer", "said", "--labels", "x" * 5000], "no field of that name"),
    ],
)
def test_bad_input_is_one_sentence(file: Path, arguments: list[str], words: str) -> None:
    found = run(file, *arguments)
    assert found.exit_code == 1
    assert words in found.stderr and found.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("score", "words"),
    [
        ("1" + "0" * 400, "labels.json is not valid JSON (a whole number of 401 characters)"),
        ("1e400", "labels.json is not valid JSON (1e400 is beyond the range of numbers)"),
        ("-1e400", "labels.json is not valid JSON (-1e400 is beyond the range of numbers)"),
        ("NaN", "labels.json is not valid JSON (NaN is no number)"),
        ("-0.1", "labels.json: entry 1 is -0.1, but scores range from 0 to 100"),
        ('"' + "9" * 5000 + '"', "labels.json: entry 1 is '9"),
    ],
)
def test_a_number_that_is_no_score_is_named_and_not_printed_whole(file: Path, score: str, words: str) -> None:
    labels = file.with_name("labels.json")
    count = len(json.loads(file.read_text()))
    labels.write_text(f"[{', '.join([score] * count)}]")
    found = run(file, "--answer", "said", "--labels", str(labels))
    assert found.exit_code == 1
    assert words in found.stderr
    assert len(found.stderr) < 400 + len(str(labels))


@pytest.mark.parametrize("kind", ["isotonic", "ridge"])
def test_a_stored_mapping_has_its_provenance_and_can_be_applied(file: Path, tmp_path: Path, kind: str) -> None:
    stored = tmp_path / "mapping.json"
    options = ["--answer", "said", "--labels", "gold"]
    file.write_text(json.dumps(ROWS * 5))
    fitted = run(file, *options, "--fit", kind, "--output", stored)
    assert fitted.exit_code == 0
    assert f"\n{kind} mapping of offline_composite, cross-validated in 10 folds  (n = 30)\n" in fitted.stdout
    mapping = json.loads(stored.read_text())
    assert mapping["provenance"]["n"] == 30
    assert mapping["provenance"]["scores"] == "offline_composite"
    assert len(mapping["provenance"]["answers"]["sha256"]) == 64
    first = stored.read_bytes()
    run(file, *options, "--fit", kind, "--output", stored)
    assert stored.read_bytes() == first
    plain, under = run(file, *options).stdout, run(file, *options, "--mapping", stored).stdout
    errors = [float(text.split("mean absolute error")[1].split()[0]) for text in (plain, under)]
    assert errors[1] < errors[0]


@pytest.mark.parametrize("kind", ["isotonic", "ridge"])
@pytest.mark.parametrize(("scores", "usable"), [("judge", 29), ("gold", 29), (None, 29)])
def test_a_mapping_is_not_fitted_to_a_handful_of_rows(
    file: Path, tmp_path: Path, kind: str, scores: str | None, usable: int
) -> None:
    rows = [{**row, "judge": row["gold"]} for row in (ROWS * 5)[:usable]]
    unscored = [{**ROWS[0], "judge": None, "gold": None}] * 3
    file.write_text(json.dumps([*rows, *unscored]))
    stored = tmp_path / "mapping.json"
    options = ["--answer", "said", "--labels", "gold", *(["--scores", scores] if scores else [])]
    found = run(file, *options, "--fit", kind, "--output", stored)
    assert (found.exit_code, found.stdout, stored.exists()) == (1, "", False)
    assert found.stderr.startswith("error: only 29 answers can be used, but --fit needs 30 that have both a score")
    assert found.stderr.count("\n") == 1
    assert run(file, *options).exit_code == 0, "comparing is possible"


def test_no_judge_is_paid_for_a_fit_that_cannot_be_made(
    file: Path, service: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (Path(__file__).resolve().parents[3] / "params.yaml").read_text()
    file.with_name("params.yaml").write_text(text.replace("backend: offline", "backend: openai"))
    monkeypatch.chdir(file.parent)
    found = run(file, "--answer", "said", "--labels", "gold", "--judge", "--fit", "ridge")
    assert found.stderr.startswith("error: only 6 answers can be used, but --fit needs 30")
    assert not service.calls
