"""One judged run: every question in a single batch, then scores, canaries, pairs, metrics and the transcript."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, NamedTuple

from reprotune.judging.answers import Answer
from reprotune.judging.checks import asked_canaries, make_canaries
from reprotune.judging.health import check_canaries, health
from reprotune.judging.metrics import check_coverage, summarise
from reprotune.judging.pairs import Comparison, pair_questions, pair_up, summarise_pairs, with_scores, with_verdicts
from reprotune.judging.questions.prompts import Question
from reprotune.judging.scoring import (
    ScoredAnswer,
    answer_questions,
    first_questions,
    method_name,
    score_offline,
    with_judgements,
)
from reprotune.judging.service.collect import Judgement, collect_verdicts
from reprotune.judging.service.ollama import OllamaClient
from reprotune.judging.service.openai import OpenAIClient
from reprotune.judging.service.protocol import Client
from reprotune.judging.service.store import ReplyStore
from reprotune.judging.transcript import answer_lines, comparison_lines
from reprotune.params.sections.judge import JudgeParams
from reprotune.scratch import scratch_root

CLIENTS: dict[str, Callable[[JudgeParams], Client]] = {"ollama": OllamaClient, "openai": OpenAIClient}


class Judge(NamedTuple):
    """A judge that is ready to be asked."""

    identity: dict[str, Any]
    """Backend, model, digest and options."""
    ask: Callable[[Sequence[Question]], list[Judgement]]
    """Returns one judgement per question, in order."""


class JudgedRun(NamedTuple):
    """What came of a run."""

    answers: list[ScoredAnswer]
    canaries: list[ScoredAnswer]
    comparisons: list[Comparison]


@contextmanager
def opened_judge(params: JudgeParams) -> Iterator[Judge | None]:
    """Yield the judge that `params` name, with the store of all its replies; null for `offline`."""
    if params.backend == "offline":
        yield None
        return
    client = CLIENTS[params.backend](params)
    try:
        with ReplyStore(scratch_root() / "judge" / "replies.jsonl") as store:
            yield Judge(client.judge, lambda asked: collect_verdicts(client, asked, store, params.repeats))
    finally:
        client.close()


def judge_answers(answers: Sequence[Answer], params: JudgeParams, judge: Judge | None) -> JudgedRun:
    """Score the answers, the canaries and, where params ask for it, the pairs."""
    canaries = score_offline(make_canaries(answers, params.canaries, params.seed))
    comparisons = pair_up(answers) if params.pairwise else []
    if judge is None:
        scored = score_offline(answers)
        return JudgedRun(scored, canaries, with_scores(comparisons, scored))
    canaries = asked_canaries(canaries)
    questions = first_questions(answers, params.rubric) + answer_questions(canaries, params.rubric)
    questions += pair_questions(comparisons)
    with ThreadPoolExecutor(1) as beside:  # the statistics are done while the judge is at work
        scoring = beside.submit(score_offline, answers)
        judgements = iter(judge.ask(questions))
        scored = scoring.result()
    return JudgedRun(
        with_judgements(scored, judgements),
        with_judgements(canaries, judgements),
        with_verdicts(comparisons, judgements),
    )


def compare_answers(answers: Sequence[Answer], params: JudgeParams, judge: Judge | None) -> list[Comparison]:
    """Compare the answers of the models `baseline` and `candidate` pair by pair, and nothing else."""
    comparisons = pair_up(answers, "baseline", "candidate")
    if judge is None:
        return with_scores(comparisons, score_offline(answers))
    return with_verdicts(comparisons, iter(judge.ask(pair_questions(comparisons))))


def run_metrics(run: JudgedRun, params: JudgeParams) -> dict[str, Any]:
    """Return everything that the run measured, ready for JSON; `pairwise` is null where no pairs were compared."""
    metrics = summarise(run.answers, method_name(params), params.seed)
    metrics["health"] = health(run.answers, run.canaries)
    metrics["pairwise"] = summarise_pairs(run.comparisons) if params.pairwise else None
    return metrics


def transcript(run: JudgedRun, identity: dict[str, Any]) -> str:
    """Return every reply of the judge as JSON lines: on the answers, on the canaries, on the pairs."""
    lines = answer_lines(run.answers, identity, "score") + answer_lines(run.canaries, identity, "canary")
    return "".join(lines + comparison_lines(run.comparisons, identity))


def check_run(metrics: dict[str, Any], params: JudgeParams) -> None:
    """Raise `UserError` when coverage or, with a judge, the canaries fall short of what params ask for."""
    check_coverage(metrics, params.min_coverage)
    if params.backend != "offline":
        check_canaries(metrics["health"], params.min_canary_pass)
