"""`reprotune deps` on a small repository of its own, and on this one."""

from pathlib import Path

import pytest
from ruamel.yaml import YAML

from reprotune.errors import UserError
from reprotune.params.values import read_document
from reprotune.pipeline.deps import check_deps, fix_deps
from reprotune.pipeline.dvc_yaml import expanded_stages

ROOT = Path(__file__).resolve().parents[2]

DVC_YAML = """\
# head comment
stages:
  fetch:
    foreach:
      dataset:
        source: data/embedded/dataset.jsonl   # the embedded one
        out: data/raw
      base:
        source: data/embedded/base
        out: data/base
    do:
      cmd: python -m stages.fetch ${key}
      deps:
        # what is fetched
        - ${item.source}
        - src/reprotune/used.py
        - stages/fetch.py
      outs:
        - ${item.out}

  format:
    cmd: python -m stages.format
    deps:
      - data/raw
      - src/reprotune/other.py  # no longer imported
      - stages/format.py

    outs:
      - data/formatted
"""


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    (tmp_path / "stages").mkdir()
    (tmp_path / "src/reprotune").mkdir(parents=True)
    (tmp_path / "stages/fetch.py").write_text("import reprotune.used\n")
    (tmp_path / "stages/format.py").write_text("import reprotune.used\nimport reprotune.alpha\n")
    for name in ("used", "other", "alpha"):
        (tmp_path / f"src/reprotune/{name}.py").write_text("x = 1\n")
    (tmp_path / "dvc.yaml").write_text(DVC_YAML)
    (tmp_path / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    return tmp_path


def set_param(repository: Path, old: str, new: str) -> None:
    path = repository / "params.yaml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def found(repository: Path) -> list[str]:
    return [str(finding) for finding in check_deps(repository)]


def test_finds_and_fixes_code_deps_and_keeps_the_rest_of_the_file(repository: Path) -> None:
    assert found(repository) == [
        "format: missing dep src/reprotune/alpha.py",
        "format: missing dep src/reprotune/used.py",
        "format: needless dep src/reprotune/other.py",
    ]
    fix_deps(repository)
    assert found(repository) == []
    expected = DVC_YAML.replace(
        "      - src/reprotune/other.py  # no longer imported\n",
        "      - src/reprotune/alpha.py\n      - src/reprotune/used.py\n",
    )
    assert (repository / "dvc.yaml").read_text() == expected
    assert fix_deps(repository) == []


def test_local_files_in_params_are_deps_of_their_stage(repository: Path) -> None:
    fix_deps(repository)
    clean = (repository / "dvc.yaml").read_text()
    set_param(repository, "source: embedded", "source: my data/rows.json")
    set_param(repository, "template: alpaca", "template: templates/own.jinja")
    assert found(repository) == [
        "fetch@dataset: missing dep my data/rows.json",
        "format: missing dep templates/own.jinja",
    ]
    fix_deps(repository)
    assert found(repository) == []
    stages = YAML(typ="safe", pure=True).load((repository / "dvc.yaml").read_text())["stages"]
    assert stages["fetch"]["foreach"]["dataset"]["source"] == "my data/rows.json"
    assert "templates/own.jinja" in stages["format"]["deps"]

    set_param(repository, "source: my data/rows.json", "source: https://example.org/rows.json")
    set_param(repository, "template: templates/own.jinja", "template: phi3")
    assert found(repository) == [
        "fetch@dataset: missing dep data/embedded/dataset.jsonl",
        "format: needless dep templates/own.jinja",
    ]
    fix_deps(repository)
    assert (repository / "dvc.yaml").read_text() == clean.replace("dataset.jsonl   # the embedded one", "dataset.jsonl")


def test_a_hub_name_is_no_file_and_a_folder_is(repository: Path) -> None:
    fix_deps(repository)
    head, base = (repository / "params.yaml").read_text().split("  base:\n")
    for source, expected in (("gpt2", []), ("models/gpt2", ["fetch@base: missing dep models/gpt2"])):
        changed = base.replace("source: embedded", f"source: {source}", 1)
        (repository / "params.yaml").write_text(f"{head}  base:\n{changed}")
        assert found(repository) == expected


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("python -m stages.format", "python stages/format.py", "cmd of stage format"),
        (
            "      - data/raw\n      - src/reprotune/other.py  # no longer imported\n      - stages/format.py\n",
            "",
            "block",
        ),
        ("stages:\n", "stages: [\n", "not valid YAML"),
    ],
)
def test_what_cannot_be_understood_is_refused(repository: Path, old: str, new: str, message: str) -> None:
    (repository / "dvc.yaml").write_text(DVC_YAML.replace(old, new))
    with pytest.raises(UserError, match=message):
        fix_deps(repository)


ODD_NAMES = [
    "t #1",
    "a: b",
    "[x]",
    "{x}",
    "- x",
    "'x'",
    '"x"',
    "x\\y",
    "*x",
    "&x",
    "!x",
    "%x",
    "@x",
    "`x",
    "a\tb",
    "2024",
    "1e3",
]
ODD_NAMES += [
    "null",
    "true",
    " x ",
    "\u00fc",
    "\U0001f600",
    "\u2028",
    "\x07",
    "x: |",
    "? x",
    "a,b",
    "=",
    "<<",
]


@pytest.mark.parametrize("name", ODD_NAMES)
@pytest.mark.parametrize("kind", ["source", "template"])
def test_odd_file_names_are_named_right_or_refused(repository: Path, name: str, kind: str) -> None:
    yaml = YAML()
    path = repository / "params.yaml"
    params = yaml.load(path.read_text(encoding="utf-8"))
    wanted = name if kind == "source" else f"{name}.jinja"
    if kind == "source":
        params["fetch"]["dataset"]["source"] = wanted
    else:
        params["format"]["template"] = wanted
    yaml.dump(params, path)
    before = (repository / "dvc.yaml").read_text(encoding="utf-8")
    try:
        fix_deps(repository)
    except UserError as error:
        assert "rename it" in str(error) or (
            "put its files into a folder of their own" in str(error) and set(name) & set("*?[")
        )
        assert (repository / "dvc.yaml").read_text(encoding="utf-8") == before
    else:
        assert check_deps(repository) == []
        stages = YAML(typ="safe").load((repository / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
        found = stages["fetch"]["foreach"]["dataset"]["source"] if kind == "source" else stages["format"]["deps"]
        assert wanted == found if kind == "source" else wanted in found


def test_a_name_that_dvc_would_fill_in_is_refused(repository: Path) -> None:
    set_param(repository, "source: embedded", "source: '${x}.json'")
    with pytest.raises(UserError, match=r"because DVC fills in what stands in \$\{\.\.\.\}: rename the file"):
        fix_deps(repository)


def test_this_repository_is_clean() -> None:
    if not (ROOT / "dvc.yaml").is_file():
        pytest.skip("dvc.yaml is not here yet")
    assert [str(finding) for finding in check_deps(ROOT)] == []


def set_sources(repository: Path, *sources: str) -> None:
    path = repository / "params.yaml"
    yaml = YAML()
    params = yaml.load(path.read_text(encoding="utf-8"))
    dataset = params["fetch"]["dataset"]
    dataset["source"] = None if sources else "embedded"
    dataset["sources"] = [{"name": f"source {place}", "source": source} for place, source in enumerate(sources)]
    yaml.dump(params, path)


def test_every_local_source_is_a_dep_of_the_dataset_alone(repository: Path) -> None:
    fix_deps(repository)
    clean = (repository / "dvc.yaml").read_text()
    set_sources(repository, "mine/a.csv", "https://example.org/b.json", "shards/**/*.parquet", "hub:owner/name")
    assert found(repository) == [
        "fetch@dataset: missing dep mine/a.csv",
        "fetch@dataset: missing dep shards",
    ]
    fix_deps(repository)
    assert found(repository) == []
    read = {name: body["deps"] for name, body in expanded_stages(read_document(repository / "dvc.yaml"))}
    assert [dep for dep in read["fetch@dataset"] if "py" not in dep] == ["mine/a.csv", "shards"]
    assert {dep for dep in read["fetch@base"] if "py" not in dep} == {"data/embedded/base"}

    set_sources(repository, "mine/a.csv", "mine/b.csv", "c", "mine/a.csv")
    fix_deps(repository)
    read = {name: body["deps"] for name, body in expanded_stages(read_document(repository / "dvc.yaml"))}
    assert [dep for dep in read["fetch@dataset"] if not dep.endswith(".py")] == ["mine/a.csv", "mine/b.csv", "c"]

    set_sources(repository, "c")
    assert found(repository) == [f"fetch@dataset: needless dep mine/{name}.csv" for name in "ab"]
    fix_deps(repository)
    set_sources(repository)
    fix_deps(repository)
    assert (repository / "dvc.yaml").read_text() == clean.replace("dataset.jsonl   # the embedded one", "dataset.jsonl")


@pytest.mark.parametrize("source", ["data/*.csv", "data", "*.csv", "data/raw/x.csv"])
def test_a_source_in_a_folder_that_the_pipeline_writes_is_refused(repository: Path, source: str) -> None:
    set_sources(repository, source)
    with pytest.raises(UserError, match=r"params\.yaml: the dataset is in .*where the pipeline writes data/raw"):
        fix_deps(repository)
