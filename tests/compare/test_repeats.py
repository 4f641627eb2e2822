"""Repeats on either side of a comparison: read where they belong to the revision, tested over rows and seeds."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from ruamel.yaml import YAML

from reprotune.artifacts import write_json, write_table
from reprotune.compare.comparison import Comparison, compare
from reprotune.compare.gate import check_changes, failures, read_rules
from reprotune.compare.revision import Revision
from reprotune.compare.snapshot import Snapshot, read_repeats
from reprotune.compare.words import headline, notes
from reprotune.errors import UserError
from reprotune.runs.contracts import ANSWERS
from reprotune.runs.values import COMPARED, SeedValues, SideRepeats
from tests.compare.test_stale import git, md5

Pair = tuple[Snapshot, Snapshot]


def with_seeds(snapshot: Snapshot, scores: np.ndarray) -> Snapshot:
    """Give the test rows the scores of several seeds, of shape (seeds, rows)."""
    rows = [row.id for row in snapshot.results.rows]
    own = {row: scores[:, place].tolist() for place, row in enumerate(rows)}
    values = {name: own if name == "score" else {row: [0.5] * len(scores) for row in rows} for name in COMPARED}
    return replace(snapshot, repeats=SideRepeats(SeedValues(range(len(scores)), values)))


def drawn(seeds: int, shift: float, seed_sd: float, number: int) -> np.ndarray:
    draw = np.random.default_rng(number)
    rows = np.random.default_rng(0).uniform(30, 70, 60)
    return np.asarray(rows + shift + draw.normal(0, seed_sd, (seeds, 1)) + draw.normal(0, 3, (seeds, 60)))


def both(snapshots: Pair, before: np.ndarray | None, after: np.ndarray | None) -> Comparison:
    same = (snapshots[0], snapshots[0])  # the rows of the second revision are fewer
    old, new = (side if own is None else with_seeds(side, own) for side, own in zip(same, (before, after), strict=True))
    return compare(old, new)


def test_the_means_are_over_all_seeds(snapshots: Pair) -> None:
    before, after = drawn(3, 0, 1, 1), drawn(4, 9, 1, 2)
    change = both(snapshots, before, after).paired["finetuned.score"]
    assert (change.before, change.after) == pytest.approx((before.mean(), after.mean()))
    assert change.difference == pytest.approx(after.mean() - before.mean())
    assert change.verdict == "better"
    assert change.share is not None
    assert (change.share.before, change.share.after) == (3, 4)


def test_a_difference_that_the_seed_alone_makes_is_noise(snapshots: Pair) -> None:
    """The first seeds of both sides lie apart, as one run each would show them; five do not."""
    before, after = drawn(5, 0, 4, 1), drawn(5, 0, 4, 2)
    order = before.mean(axis=1).argsort(), after.mean(axis=1).argsort()
    lowest, highest = before[order[0][0]], after[order[1][-1]]
    rows = snapshots[0].results.rows

    def single(scores: np.ndarray) -> Snapshot:
        kept = [
            replace(row, finetuned=replace(row.finetuned, score=float(score)))
            for row, score in zip(rows, scores, strict=True)
        ]
        return replace(snapshots[0], results=replace(snapshots[0].results, rows=kept))

    assert compare(single(lowest), single(highest)).paired["finetuned.score"].verdict == "better"
    found = both(snapshots, before, after)
    assert found.paired["finetuned.score"].verdict == "within noise"
    assert all(change.score.share is not None for change in found.categories)
    assert "the means of 5 runs and 5 runs" in headline(found)[1]
    assert any("the rows make" in note and "the seeds" in note for note in notes(found))


def test_the_other_metrics_have_their_seeds_and_the_base_model_has_none(snapshots: Pair) -> None:
    found = both(snapshots, drawn(2, 0, 1, 1), drawn(2, 0, 1, 2))
    shares = {key: change.share for key, change in found.paired.items()}
    assert shares.pop("base.score") is None
    assert None not in shares.values()


def test_one_run_each_leaves_the_seed_unknown(snapshots: Pair) -> None:
    found = compare(*snapshots)
    assert found.paired["finetuned.score"].share is None
    assert any("One run each: the seed's share of the change is unknown" in note for note in notes(found))


@pytest.mark.parametrize("first", [True, False])
def test_a_single_run_borrows_the_spread(snapshots: Pair, first: bool) -> None:
    seeds = drawn(5, 0, 4, 1)
    found = both(snapshots, seeds, None) if first else both(snapshots, None, seeds)
    share = found.paired["finetuned.score"].share
    assert share is not None
    assert sorted((share.before, share.after)) == [1, 5]
    assert share.stderr_seeds > np.std(seeds.mean(axis=1), ddof=1) * 0.8
    assert any("The single run is taken to vary" in note for note in notes(found))


def test_rows_that_a_seed_has_no_score_for_are_not_paired(snapshots: Pair) -> None:
    found = both(snapshots, drawn(3, 0, 1, 1), drawn(3, 0, 1, 2))
    side = found.after
    assert side.repeats.values is not None
    scores = dict(side.repeats.values.values["score"])
    del scores[side.results.rows[0].id]
    values = replace(side.repeats.values, values={**side.repeats.values.values, "score": scores})
    fewer = compare(found.before, replace(side, repeats=SideRepeats(values)))
    assert fewer.paired["finetuned.score"].n == found.paired["finetuned.score"].n - 1
    assert any("not paired" in note for note in notes(fewer))
    assert fewer.paired["finetuned.chrf"].n == found.paired["finetuned.chrf"].n


def rules(folder: Path, **values: Any) -> Any:
    rule = {"metric": "finetuned.score", "better": "higher", "tolerance": 20.0, "seeds": 5} | values
    (folder / "gate.yaml").write_text(json.dumps({"changes": [rule], "limits": []}))
    return read_rules(folder / "gate.yaml")


@pytest.mark.parametrize(
    ("before", "after", "state"), [(5, 5, "kept"), (5, 3, "too few seeds"), (5, None, "too few seeds"), (6, 7, "kept")]
)
def test_the_gate_can_ask_for_seeds(
    snapshots: Pair, tmp_path: Path, before: int, after: int | None, state: str
) -> None:
    found = both(snapshots, drawn(before, 0, 1, 1), None if after is None else drawn(after, 0, 1, 2))
    (outcome,) = check_changes(rules(tmp_path), found)
    assert outcome.state == state
    assert outcome.fails == (state != "kept")
    (allowed,) = check_changes(rules(tmp_path, when_unknown="pass"), found)
    assert not allowed.fails
    if outcome.fails:
        assert "ask for more seeds than there are: run `reprotune repeat" in failures([outcome])[0]
        assert outcome.found == f"{before} before, {after or 1} after, but the rule asks for 5 seeds"


@pytest.mark.parametrize("metric", ["base.score", "training.best.validation_loss"])
def test_only_metrics_that_repeats_have_can_ask_for_seeds(metric: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"only these metrics are known by seed: finetuned\.score"):
        rules(tmp_path, metric=metric)


def answers(seeds: Sequence[int], rows: int) -> pa.Table:
    statistics = dict.fromkeys(("exact_match", "chrf", "rouge_l", "token_f1", "repetition", "length_ratio"), 0.5)
    table = [
        {"seed": seed, "row": f"r{row}", "category": None, "response": "x", "status": "ok", "score": 10.0 * row + seed}
        | statistics
        for seed in seeds
        for row in range(rows)
    ]
    return pa.Table.from_pylist(table, schema=ANSWERS)


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A committed pipeline with repeats, whose artifact is in the cache and in the workspace."""
    root = tmp_path / "repository"
    monkeypatch.setenv("DVC_ROOT", str(root))
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "site"))
    write_table(root / "data/repeats/answers.parquet", answers([1, 2], 4))
    parts = {name: {"mean": 1.0, "sd": 0.1} for name in ("score", "exact_match", "validation_loss")}
    metrics = {"method": "offline_composite", "seeds": 2, "rows": 4, "agreement": {}, **parts}
    write_json(root / "data/repeats/metrics.json", metrics)
    listing = []
    for path in sorted((root / "data/repeats").iterdir()):
        digest = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
        listing.append({"md5": digest, "relpath": path.name})
        cached(root, digest, path.read_bytes())
    content = json.dumps(listing).encode()
    folder = f"{hashlib.md5(content, usedforsecurity=False).hexdigest()}.dir"
    cached(root, folder, content)
    tokens = {"path": "data/tokens/train.parquet", "md5": "11" * 16}
    code = {"path": "stages/repeat.py", "md5": md5("the code")}
    (root / "stages").mkdir()
    (root / "stages/repeat.py").write_text("the code")
    (root / "params.yaml").write_text("finetune:\n  seed: 1\n")
    (root / "dvc.yaml").write_text("stages: {}\n")
    (root / ".dvc").mkdir(exist_ok=True)
    (root / ".dvc/config").touch()
    (root / ".gitignore").write_text("/data\n/.dvc/cache\n/.dvc/tmp\n/.reprotune\n")
    (root / "repeats").mkdir()
    write_lock(root / "dvc.lock", {"tokenize": {"cmd": "t", "outs": [tokens]}})
    stage = {
        "cmd": "python -m stages.repeat",
        "deps": [code, tokens],
        "params": {"params.yaml": {"finetune": {"seed": 1}}, "repeats/params.yaml": {"repeats": {"seeds": 2}}},
        "outs": [{"path": "data/repeats", "md5": folder}],
    }
    write_lock(root / "repeats/dvc.lock", {"repeat": stage})
    git(root, "init", "--quiet")
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", "made")
    return root


def cached(root: Path, digest: str, content: bytes) -> None:
    place = root / ".dvc/cache/files/md5" / digest[:2] / digest[2:]
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(content)


def write_lock(path: Path, stages: dict[str, Any]) -> None:
    with path.open("w", encoding="utf-8") as file:
        YAML().dump({"schema": "2.0", "stages": stages}, file)


def found_in(root: Path, name: str, method: str = "offline_composite") -> SideRepeats:
    return read_repeats(Revision(name, root), method)


@pytest.mark.parametrize("name", ["HEAD", "workspace"])
def test_repeats_of_a_revision_are_read(repository: Path, name: str) -> None:
    found = found_in(repository, name)
    assert not found.unusable
    assert found.seeds == 2
    assert found.values is not None
    assert found.values.values["score"]["r3"] == [31.0, 32.0]


def rewritten(path: str, old: str, new: str) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        text = (root / path).read_text()
        assert old in text
        (root / path).write_text(text.replace(old, new))

    return change


CHANGES = {
    "params": (rewritten("params.yaml", "seed: 1", "seed: 5"), "finetune.seed: 1 -> 5"),
    "code": (rewritten("stages/repeat.py", "code", "edit"), "stages/repeat.py: changed"),
    "data": (rewritten("dvc.lock", "11" * 16, "22" * 16), "data/tokens/train.parquet: changed"),
    "never run": (rewritten("repeats/dvc.lock", "  repeat:", "  other:"), "they are not in repeats/dvc.lock"),
}


@pytest.mark.parametrize("name", ["HEAD", "workspace"])
@pytest.mark.parametrize("kind", CHANGES)
def test_repeats_of_other_settings_are_not_used(repository: Path, kind: str, name: str) -> None:
    change, reason = CHANGES[kind]
    change(repository)
    git(repository, "commit", "--quiet", "--all", "--message", "changed")
    found = found_in(repository, name)
    assert found.values is None
    assert list(found.unusable) == [reason]


def test_repeats_of_another_judge_are_not_used(repository: Path) -> None:
    found = found_in(repository, "HEAD", "openai:m:reference:12345678")
    assert list(found.unusable) == [
        "they were scored by offline_composite, the run itself by openai:m:reference:12345678"
    ]


def test_the_reason_is_told(snapshots: Pair) -> None:
    side = replace(snapshots[1], repeats=SideRepeats(unusable=["finetune.seed: 1 -> 5"]))
    found = notes(compare(snapshots[0], side))
    assert any(note.startswith("The repeats of workspace are not used (finetune.seed: 1 -> 5)") for note in found)


def test_a_revision_without_repeats_has_none(repository: Path) -> None:
    git(repository, "rm", "--quiet", "-r", "repeats")
    git(repository, "commit", "--quiet", "--message", "none")
    assert found_in(repository, "HEAD") == SideRepeats()
