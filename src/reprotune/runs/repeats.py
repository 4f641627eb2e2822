"""The same settings with several seeds: each run trained, its answers generated, all of them scored alike.

Training and answers are kept in `.reprotune/trials/`, a judge's replies in its store, so another seed costs what that
seed costs, and a killed command goes on where it was.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from reprotune.artifacts import STATISTICS, write_table
from reprotune.compute.device import pick_compute
from reprotune.console import note
from reprotune.errors import UserError
from reprotune.generation.responses import model_responses
from reprotune.judging.answers import Answer, ScoredAnswer, read_answers
from reprotune.judging.run import judge_answers, method_name, opened_judge
from reprotune.params.sections.finetune import FinetuneParams
from reprotune.params.sections.generate import GenerateParams
from reprotune.params.sections.judge import JudgeParams
from reprotune.runs.keys import run_key
from reprotune.runs.trial import INPUTS, MODEL, Inputs, Trained, drop_model, train

FINETUNED = "finetuned"


@dataclass(frozen=True)
class Questions:
    """What the pipeline has made ready for answering: prompts, and the records that they come from."""

    prompts: Path = Path("data/formatted/test.parquet")
    records: Path = Path("data/split/test.parquet")


QUESTIONS = Questions()


class RunParams(NamedTuple):
    """The sections of params.yaml that decide a run, given the pipeline's tokens and prompts."""

    finetune: FinetuneParams
    generate: GenerateParams
    judge: JudgeParams


class SeedRun(NamedTuple):
    """The run of one seed."""

    seed: int
    trained: Trained
    answers: list[ScoredAnswer]
    """One for each test row, sorted by id."""


class Repeats(NamedTuple):
    """Runs that differ in nothing but the seed."""

    method: str
    """What scored them, as in `data/judgements/metrics.json`."""
    runs: list[SeedRun]


def seeds_of(params: RunParams, count: int) -> list[int]:
    """Return the seeds of so many runs: the one in params.yaml, so that the pipeline's run is among them, and the next.

    A larger count begins with the seeds of a smaller one.
    """
    return [params.finetune.seed + place for place in range(count)]


def repeat(
    params: RunParams,
    seeds: Sequence[int],
    keep_models: bool,
    inputs: Inputs = INPUTS,
    questions: Questions = QUESTIONS,
) -> Repeats:
    """Train, generate and judge with each seed, and nothing of it twice.

    Raises `UserError` where a training diverges, or where a seed has too few scores for `judge.min_coverage`.
    """
    runs, answers = [], []
    for place, seed in enumerate(seeds, start=1):
        note(f"repeat: seed {seed} ({place} of {len(seeds)})")
        trained, responses = answered(with_seed(params, seed), keep_models, inputs, questions)
        runs.append((seed, trained))
        answers.append(read_answers(questions.records, {FINETUNED: responses}))
    method, scored = score(answers, params.judge)
    found = [SeedRun(seed, trained, own) for (seed, trained), own in zip(runs, scored, strict=True)]
    for run in found:
        _check_coverage(run, params.judge.min_coverage)
    return Repeats(method, found)


def with_seed(params: RunParams, seed: int) -> RunParams:
    """Return the params with another seed of training, and that of sampling as far from its own; a judge keeps its."""
    sampling = params.generate.seed + seed - params.finetune.seed
    return params._replace(
        finetune=params.finetune.model_copy(update={"seed": seed}),
        generate=params.generate.model_copy(update={"seed": sampling}),
    )


def answered(
    params: RunParams, keep_model: bool, inputs: Inputs = INPUTS, questions: Questions = QUESTIONS
) -> tuple[Trained, Path]:
    """Return a run and the file of its answers to the test rows; does only what has not been done before."""
    trained = train(params.finetune, inputs)
    path = _answers_path(trained, params.generate, inputs, questions)
    if not path.is_file():
        trained = train(params.finetune, inputs, needs_model=True)
        weights, name = trained.folder / MODEL, f"seed {params.finetune.seed}"
        table = model_responses(weights, inputs.base, questions.prompts, questions.records, params.generate, name)
        write_table(path, table)
    if not keep_model:
        drop_model(trained)
    return trained, path


def _answers_path(trained: Trained, params: GenerateParams, inputs: Inputs, questions: Questions) -> Path:
    settings = params.model_dump(exclude={"seed"} if params.temperature == 0 else set())
    own = [path for path in inputs.base.iterdir() if path.is_file() and path.suffix != ".safetensors"]
    files = [questions.prompts, questions.records, *own]  # the weights are in the key of the run
    key = run_key("reprotune.generation.responses", settings, pick_compute(params.precision), files)
    return trained.folder / f"answers-{key}.parquet"


def score(answers: Sequence[Sequence[Answer]], params: JudgeParams) -> tuple[str, list[list[ScoredAnswer]]]:
    """Return the name of the method, and the scores of every run's answers, as the stage `judge` gives them.

    All runs are scored in one batch, without the canaries and pairs of the stage; what a judge was asked before, it is
    not asked again.
    """
    alone = params.model_copy(update={"canaries": 0, "pairwise": False})
    with opened_judge(alone) as judge:
        run = judge_answers([answer for own in answers for answer in own], alone, judge)
    scored = iter(run.answers)
    return method_name(run.parts, run.mapping), [[next(scored) for _ in own] for own in answers]


def _check_coverage(run: SeedRun, least: float) -> None:
    share = sum(row.score is not None for row in run.answers) / len(run.answers)
    if share < least:
        raise UserError(
            f"only {share:.1%} of the answers of seed {run.seed} got a score, but judge.min_coverage requires "
            f"{least:.1%}; every reply is kept: run `reprotune repeat` again if the service failed, or change "
            "judge.max_tokens, judge.rubric or judge.model in params.yaml"
        )


def table_rows(repeats: Repeats) -> Iterator[dict[str, Any]]:
    """Yield the rows of `contracts.ANSWERS`."""
    for run in repeats.runs:
        for row in run.answers:
            statistics = row.statistics._asdict()
            yield {
                "seed": run.seed,
                "row": row.answer.id,
                "category": row.answer.category,
                "response": row.answer.item.response,
                "status": row.status,
                "score": row.score,
                **{name: statistics[name] for name in STATISTICS},
            }
