"""One judged run: every question in a single batch, then scores, checks, pairs, metrics and the transcript."""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from reprotune.artifacts import MODELS, STATISTICS
from reprotune.dataset.checks import Check
from reprotune.errors import UserError
from reprotune.judging.answers import Answer, ScoredAnswer, answer_questions, score_offline, with_judgements
from reprotune.judging.checks import canary_pairs, check_canaries, judge_health, make_canaries
from reprotune.judging.metrics import check_coverage, summarise
from reprotune.judging.opponents import BASE, Opponent
from reprotune.judging.pairs import AnswerPair, pair_questions, pair_up, summarise_pairs, with_scores, with_verdicts
from reprotune.judging.questions.prompts import Question, rubric_sha256
from reprotune.judging.service.collect import Client, Judgement, collect_verdicts
from reprotune.judging.service.ollama import OllamaClient
from reprotune.judging.service.openai import OpenAIClient
from reprotune.judging.service.store import ReplyStore
from reprotune.judging.verifiable import CheckedAnswer, check_answers, summarise_checks
from reprotune.params.sections.judge import JudgeParams
from reprotune.scratch import file_sha256, scratch_root
from reprotune.statistics.calibration import mapped, read_mapping

CLIENTS: dict[str, Callable[[JudgeParams], Client]] = {"ollama": OllamaClient, "openai": OpenAIClient}


class Judge(NamedTuple):
    """A judge that is ready to be asked."""

    identity: dict[str, Any]
    """Backend, model, digest, address and options."""
    ask: Callable[[Sequence[Question]], list[Judgement]]
    """Returns one judgement per question, in order."""


class JudgedRun(NamedTuple):
    """The outcome of a run."""

    answers: list[ScoredAnswer]
    canaries: list[ScoredAnswer]
    pairs: list[AnswerPair]
    canary_pairs: Sequence[AnswerPair] = ()
    opponent: Opponent | None = None
    """Whose answers the fine-tuned ones were compared with; null where no pairs were."""
    checked: Sequence[CheckedAnswer] = ()
    """Of the rows that have checks which need no judge."""
    parts: dict[str, Any] | None = None
    """What `judge_parts` returns."""
    mapping: dict[str, Any] | None = None
    """The mapping applied to the answers' scores: file, hash, kind, and its error on answers it was not fitted on."""


def judge_parts(params: JudgeParams, judge: Judge | None, scored: Sequence[ScoredAnswer]) -> dict[str, Any] | None:
    """Return everything that two judged runs must share for their scores to be comparable; null without a judge.

    `temperature` is null where the service refuses to set it. `fingerprints` are what the service says of itself, and
    `served` are the models that it says it asked.
    """
    if judge is None:
        return None
    judgements = [row.judgement for row in scored if row.judgement is not None]
    refused = {option for judgement in judgements for option in judgement.refused}
    return {
        **{name: judge.identity[name] for name in ("backend", "model", "digest", "address")},
        "rubric": Path(params.rubric).stem,
        "rubric_sha256": rubric_sha256(params.rubric),
        "temperature": None if "temperature" in refused else float(params.temperature),
        "repeats": params.repeats,
        "expected_score": params.expected_score,
        "fingerprints": sorted({mark for judgement in judgements for mark in judgement.fingerprints}),
        "served": sorted({name for judgement in judgements for name in judgement.served}),
    }


def method_name(parts: dict[str, Any] | None, mapping: dict[str, Any] | None = None) -> str:
    """Return what to call the scores: `offline_composite` without a judge, else names for readers and a hash of all.

    A mapping adds `mapped` and its own hash.
    """
    name = "offline_composite"
    if parts is not None:
        digest = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
        name = f"{parts['backend']}:{parts['model']}:{parts['rubric']}:{digest[:8]}"
    return name if mapping is None else f"{name}:mapped:{mapping['sha256'][:8]}"


def mapped_run(run: JudgedRun, path: Path) -> JudgedRun:
    """Return the run with its answers' scores under a stored mapping; canaries and pairs stay as the judge scored them.

    Raises `UserError` if the mapping was fitted to the scores of another method.
    """
    mapping = read_mapping(path)
    provenance = mapping.get("provenance", {})
    fitted_on, method = provenance.get("scores"), Path(method_name(run.parts)).name
    if fitted_on != method and fitted_on not in provenance.get("sha256", {}):
        raise UserError(
            f"{path} was fitted to scores of {fitted_on}, not of {method}: fit it anew with `reprotune calibrate --fit`"
        )
    rows = [row for row in run.answers if row.score is not None]
    texts = np.array([[getattr(row.statistics, name) for name in STATISTICS] for row in rows], dtype=float)
    values = iter(mapped(mapping, np.array([row.score for row in rows], dtype=float), texts).tolist() if rows else [])
    answers = [row if row.score is None else row._replace(score=next(values)) for row in run.answers]
    facts = {
        "file": path.name,
        "sha256": file_sha256(path),
        "kind": mapping["kind"],
        "n": provenance.get("n"),
        "held_out": provenance.get("cross_validated"),
    }
    return run._replace(answers=answers, mapping=facts)


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


def judge_answers(
    answers: Sequence[Answer],
    params: JudgeParams,
    judge: Judge | None,
    opponent: Opponent | None = None,
    checks: dict[str, list[Check]] | None = None,
) -> JudgedRun:
    """Score the answers and the canaries, and compare the pairs, by the judge or (null) by the offline composite.

    The fine-tuned answers are compared with those of the opponent, by default the base model. `checks` are those of the
    rows that have any, by id.
    """
    opponent = opponent or Opponent(BASE, [])
    canaries = make_canaries(answers, params.canaries, params.seed)
    every = [*answers, *canaries]
    compared = pair_up([*answers, *opponent.answers], (opponent.model, MODELS[1]))
    pairs = compared + canary_pairs(canaries) if params.pairwise else []
    if judge is None:
        scored = score_offline(every)
        pairs = with_scores(pairs, scored + score_offline(opponent.answers))
    else:
        questions = answer_questions(every, params.rubric) + pair_questions(pairs)
        with ThreadPoolExecutor(1) as background:  # computes the statistics while the judge is at work
            statistics = background.submit(score_offline, every)
            judgements = iter(judge.ask(questions))
            scored = with_judgements(statistics.result(), judgements)
        pairs = with_verdicts(pairs, judgements)
    parts = judge_parts(params, judge, scored[: len(answers)])
    own = sum(not pair.baseline.canary for pair in pairs)
    run = JudgedRun(
        scored[: len(answers)],
        scored[len(answers) :],
        pairs[:own],
        pairs[own:],
        opponent if params.pairwise else None,
        checked=() if checks is None else check_answers(answers, checks),
        parts=parts,
    )
    return run if params.mapping is None else mapped_run(run, Path(params.mapping).expanduser())


def compare_answers(answers: Sequence[Answer], params: JudgeParams, judge: Judge | None) -> list[AnswerPair]:
    """Compare the answers of the models `baseline` and `candidate` pair by pair, and do nothing else."""
    pairs = pair_up(answers, ("baseline", "candidate"))
    if judge is None:
        return with_scores(pairs, score_offline(answers))
    return with_verdicts(pairs, iter(judge.ask(pair_questions(pairs))))


def run_metrics(run: JudgedRun, params: JudgeParams) -> dict[str, Any]:
    """Return everything that the run measured, ready for JSON; `pairwise` is null where no pairs were compared.

    `judge` is there only where a judge was asked, `mapping` only where one was applied, and `checks` only where a test
    row has some.
    """
    metrics = summarise(run.answers, method_name(run.parts, run.mapping), params.seed)
    if run.parts is not None:
        metrics["judge"] = run.parts
    if run.mapping is not None:
        metrics["mapping"] = run.mapping
    metrics["health"] = judge_health(run.answers, run.canaries, run.canary_pairs)
    if run.checked:
        metrics["checks"] = summarise_checks(run.checked, params.seed)
    metrics["pairwise"] = None
    if run.opponent is not None:
        metrics["pairwise"] = _opponent_facts(run.opponent) | summarise_pairs(run.pairs)
    return metrics


def _opponent_facts(opponent: Opponent) -> dict[str, Any]:
    return {"against": opponent.name, "unanswered": opponent.unanswered, "unmatched": opponent.unmatched}


def check_run(metrics: dict[str, Any], params: JudgeParams) -> None:
    """Raise `UserError` if coverage or, with a judge, the canaries fall short of what `params` require."""
    check_coverage(metrics, params.min_coverage)
    if params.backend != "offline":
        check_canaries(metrics["health"], params.min_canary_pass)


def transcript(run: JudgedRun, identity: dict[str, Any]) -> str:
    """Return every reply of the judge as JSON lines, so that each score can be traced to what the judge said.

    A line's `purpose` is `score`, `canary`, `pairwise` or `pair_canary`; a pair has one line for each order, and the
    `model` there is the one shown first. `identity` is the judge's: backend, model, digest and options.
    """
    subjects: list[tuple[str, str, str, Judgement]] = []
    for purpose, rows in (("score", run.answers), ("canary", run.canaries)):
        subjects += [
            (purpose, row.answer.id, row.answer.model, row.judgement) for row in rows if row.judgement is not None
        ]
    for purpose, pairs in (("pairwise", run.pairs), ("pair_canary", run.canary_pairs)):
        for pair in pairs:
            for first, judgement in zip((pair.baseline, pair.candidate), pair.judgements, strict=False):
                subjects.append((purpose, first.id, first.model, judgement))
    return "".join(_line(*subject, identity) for subject in subjects)


def _line(purpose: str, row: str, model: str, judgement: Judgement, identity: dict[str, Any]) -> str:
    value = {
        "purpose": purpose,
        "id": row,
        "model": model,
        "status": judgement.verdict.status,
        "score": judgement.verdict.score,
        "scores": judgement.scores,
        "probability_masses": judgement.masses,
        "reasoning": judgement.verdict.reasoning,
        "replies": judgement.replies,
        "error": judgement.error,
        "key": judgement.key,
        "judge": identity,
    }
    return json.dumps(value, sort_keys=True) + "\n"
