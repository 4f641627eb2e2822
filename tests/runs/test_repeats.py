"""The same settings with several seeds: the stage's own answers and scores, nothing done twice."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from docs.artifact_keys import PUBLISHED_REPEATS, REPEATS
from reprotune.artifacts import MODELS, RESPONSES, read_table
from reprotune.errors import UserError
from reprotune.params.values import flattened
from reprotune.runs import repeats as module
from reprotune.runs.changes import changed_params
from reprotune.runs.contracts import ANSWERS
from reprotune.runs.repeats import Repeats, RunParams, repeat, seeds_of, table_rows, with_seed
from reprotune.runs.summary import summarise
from reprotune.runs.trial import Trained
from reprotune.training.loop import Trainer
from stages import generate, judge
from stages.finetune import main as finetune
from stages.repeat import publish
from stages.repeat import run as repeat_stage
from tests.builders.judge_service import ScriptedJudge


def run_params(**changes: Any) -> RunParams:
    document = changed_params({key.replace("__", "."): value for key, value in changes.items()})
    return RunParams(document.finetune, document.generate, document.judge)


def repeated(count: int, **changes: Any) -> Repeats:
    params = run_params(**changes)
    return repeat(params, seeds_of(params, count), keep_models=False)


def rows(repeats: Repeats) -> list[dict[str, Any]]:
    return list(table_rows(repeats))


def test_the_first_seed_is_the_run_of_the_pipeline(project: Path) -> None:
    found = rows(repeated(2))
    finetune()
    for name in MODELS:
        generate.main(name)
    judge.main()
    answers = read_table(project / "data/responses/finetuned.parquet", RESPONSES).to_pylist()
    first = [row for row in found if row["seed"] == 123]
    assert {row["row"]: row["response"] for row in first} == {row["id"]: row["response"] for row in answers}
    metrics = json.loads((project / "data/judgements/metrics.json").read_text())
    assert np.mean([row["score"] for row in first]) == pytest.approx(metrics["finetuned"]["score"], abs=1e-12)
    assert metrics["method"] == repeated(2).method


def test_another_seed_costs_one_run(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    few = rows(repeated(2))
    trained, answered = [], []
    run, respond = Trainer.run, module.model_responses
    monkeypatch.setattr(Trainer, "run", lambda self, until=None: trained.append(self.params.seed) or run(self, until))
    monkeypatch.setattr(module, "model_responses", lambda *rest: answered.append(rest[-1]) or respond(*rest))
    more = rows(repeated(3))
    assert trained == [125]
    assert answered == ["seed 125"]
    assert more[: len(few)] == few
    assert rows(repeated(2)) == few


def test_a_killed_command_goes_on(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = rows(repeated(3))
    shutil.rmtree(project / ".reprotune")
    respond = module.model_responses

    def killed(*rest: Any) -> Any:
        if rest[-1] == "seed 124":
            raise KeyboardInterrupt
        return respond(*rest)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(module, "model_responses", killed)
        repeated(3)
    trained = []
    run = Trainer.run
    monkeypatch.setattr(Trainer, "run", lambda self, until=None: trained.append(self.params.seed) or run(self, until))
    assert rows(repeated(3)) == whole
    assert trained == [125]  # seed 124 had been trained, but had answered nothing


def test_weights_are_kept_only_on_request(project: Path) -> None:
    params = run_params()
    dropped = repeat(params, [1, 2], keep_models=False)
    assert [run.trained.model for run in dropped.runs] == [None, None]
    kept = repeat(params._replace(generate=run_params(generate__max_new_tokens=2).generate), [1], keep_models=True)
    assert kept.runs[0].trained.model is not None


def test_a_sampled_answer_depends_on_the_seed(project: Path) -> None:
    found = rows(repeated(2, generate__temperature=5.0, finetune__epochs=1))
    first, second = ([row["response"] for row in found if row["seed"] == seed] for seed in (123, 124))
    assert first != second


def test_a_judge_is_asked_once_about_each_answer(project: Path, service: ScriptedJudge) -> None:
    changes = {"judge__backend": "openai", "judge__model": "m", "generate__temperature": 3.0}
    first = rows(repeated(2, **changes))
    asked = len(service.calls)
    assert 0 < asked <= 16
    assert all(row["score"] is not None for row in first)
    assert rows(repeated(2, **changes)) == first
    assert len(service.calls) == asked


def test_the_numbers_of_made_up_scores(project: Path) -> None:
    found = repeated(2)
    own = found.runs[0].answers
    scores = np.array([[0.0, 100, 100, 100, 50, 60, 70, 80], [10.0, 100, 100, 90, 50, 60, 70, 80]])
    runs = [
        run._replace(answers=[row._replace(score=float(score)) for row, score in zip(own, line, strict=True)])
        for run, line in zip(found.runs, scores, strict=True)
    ]
    metrics = summarise(found._replace(runs=runs))
    assert metrics["score"]["mean"] == scores.mean()
    assert metrics["score"]["sd"] == pytest.approx(np.std(scores.mean(axis=1), ddof=1))
    assert (metrics["score"]["lowest"], metrics["score"]["highest"]) == tuple(scores.mean(axis=1))
    assert metrics["score"]["ci95_low"] < scores.mean() < metrics["score"]["ci95_high"]
    assert metrics["agreement"]["same_answer"] == 1.0
    assert metrics["by_seed"]["124"]["score"] == scores[1].mean()


def test_unscored_rows_are_counted_and_too_many_refused(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = repeated(2)
    one = found.runs[1]
    answers = [one.answers[0]._replace(score=None, status="error"), *one.answers[1:]]
    metrics = summarise(found._replace(runs=[found.runs[0], one._replace(answers=answers)]))
    assert metrics["unscored_rows"] == 1
    assert metrics["rows"] == 8
    score = module.score

    def failing(*rest: Any) -> Any:
        method, scored = score(*rest)
        return method, [scored[0], [scored[1][0]._replace(score=None), *scored[1][1:]]]

    monkeypatch.setattr(module, "score", failing)
    with pytest.raises(UserError, match=r"only 87\.5% of the answers of seed 124 got a score"):
        repeated(2)


def test_the_stage_writes_the_artifact(project: Path) -> None:
    (project / "repeats").mkdir()
    (project / "repeats/params.yaml").write_text("repeats: {seeds: 2, keep_models: false}\n")
    repeat_stage()
    table = read_table(project / "data/repeats/answers.parquet", ANSWERS).to_pylist()
    assert table == rows(repeated(2))
    metrics = json.loads((project / "data/repeats/metrics.json").read_text())
    assert metrics == summarise(repeated(2))
    assert {re.sub(r"by_seed\.\d+", "by_seed.<seed>", key) for key in flattened(metrics)} == set(REPEATS)
    publish()
    shown = json.loads((project / "metrics/repeats.json").read_text())
    assert set(flattened(shown)) <= set(PUBLISHED_REPEATS)
    assert shown["score"]["mean"] == metrics["score"]["mean"]
    first = (project / "data/repeats/answers.parquet").read_bytes()
    shutil.rmtree(project / ".reprotune")
    repeat_stage()
    assert (project / "data/repeats/answers.parquet").read_bytes() == first


def test_sampling_has_a_seed_of_its_own_for_each_run(project: Path) -> None:
    params = run_params(finetune__seed=7, generate__seed=20)
    assert [with_seed(params, seed).generate.seed for seed in seeds_of(params, 3)] == [20, 21, 22]
    assert with_seed(params, 8).finetune.seed == 8
    assert with_seed(params, 8).judge == params.judge


def test_seeds_begin_with_the_pipelines_own(project: Path) -> None:
    assert seeds_of(run_params(finetune__seed=7), 3) == [7, 8, 9]
    assert isinstance(repeated(2).runs[0].trained, Trained)
