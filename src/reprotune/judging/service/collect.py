"""Asking a judge for many verdicts at once, and never twice for the same one."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, as_completed
from queue import Empty, SimpleQueue
from statistics import fmean
from threading import Semaphore, Thread
from typing import Any, NamedTuple, Protocol

from reprotune.console import note, progress
from reprotune.errors import UserError
from reprotune.judging.questions.probabilities import expected_score
from reprotune.judging.questions.prompts import Question
from reprotune.judging.questions.replies import Verdict, read_verdict
from reprotune.judging.service.served import WhenOther, check_served
from reprotune.judging.service.store import Reply, ReplyStore, question_key
from reprotune.judging.service.transport import RequestError
from reprotune.untrusted import clipped

LONGEST_REPAIR = 20_000
"""Characters of a reply that go back with the request to repair it; a longer reply is cut."""
PATIENCE = 0.5
"""Seconds for the threads to end once the run has; then they are left to themselves."""
MOST_FAILURES = 10
"""Failed questions in a row after which there is no point in going on: the fault is the service's."""


class Client(Protocol):
    """One judge model at one service; `ask` is called from several threads."""

    judge: dict[str, Any]
    """What shapes a reply besides the question: backend, model, digest, address, options. Part of the store's key."""
    concurrency: int
    """How many questions to ask at a time."""
    when_other_model: WhenOther
    """What to do when the service asks another model."""

    def prepare(self, questions: Sequence[Question]) -> None:
        """Get ready for these questions (size the context, load the model); not called when there are none."""

    def ask(self, question: Question, repeat: int = 0) -> Reply:
        """Ask once; each repeat has another seed.

        Raises `RequestError` (this question failed) or `UserError` (there is no point in going on).
        """

    def reach(self) -> None:
        """Raise `UserError` unless the service is there; what it would answer is another question."""

    def close(self) -> None:
        """Release the connections."""


class Judgement(NamedTuple):
    """A verdict and where it comes from."""

    verdict: Verdict
    replies: tuple[str, ...]
    """Every raw reply, in order; one that could not be read is followed by the reply to the repair request."""
    key: str
    """The key of the question in the store; of its first repeat, if there are several."""
    error: str | None = None
    """What went wrong, for status `error`."""
    scores: tuple[float, ...] = ()
    """The score of each repeat that gave one; the verdict's score is their mean."""
    masses: tuple[float, ...] = ()
    """Probability of the legal scores, for each repeat whose score is weighted by probabilities."""
    fingerprints: frozenset[str] = frozenset()
    """What the service said of its build and configuration with these replies."""
    refused: frozenset[str] = frozenset()
    """Options that the service refused, and that were left out."""
    served: frozenset[str] = frozenset()
    """The models that the service says it asked."""


class _Turn(NamedTuple):
    """One repeat of one question, with its key in the store."""

    key: str
    question: Question
    repeat: int


def collect_verdicts(
    client: Client, questions: Sequence[Question], store: ReplyStore, repeats: int = 1
) -> list[Judgement]:
    """Return one judgement per question, in order: from the store if it has the replies, else from the judge.

    Each question is asked `repeats` times. Raises `UserError` if the service is gone or keeps failing; the replies
    received so far are in the store.
    """
    keys = [[question_key(client.judge, question, repeat) for repeat in range(repeats)] for question in questions]
    turns = {
        key: _Turn(key, question, repeat)
        for question, own in zip(questions, keys, strict=True)
        for repeat, key in enumerate(own)
    }
    judgements: dict[str, Judgement] = {}
    missing: list[_Turn] = []
    for key, turn in turns.items():
        try:
            judgements[key] = _judge(client, turn, lambda asked: _kept_reply(store, asked))
        except _NotKeptError:
            missing.append(turn)
    if missing:
        note(f"judge: {len(turns) - len(missing)} of {len(turns)} verdicts are in the store, asking for {len(missing)}")
        client.prepare([turn.question for turn in missing])
        judgements |= _ask_all(client, missing, store)
    served = {name for judgement in judgements.values() for name in judgement.served}
    check_served(client.judge["model"], served, client.when_other_model)
    return [_combined([judgements[key] for key in own]) for own in keys]


def _combined(repeats: Sequence[Judgement]) -> Judgement:
    """Return the repeats of one question as one judgement.

    The score is the mean over the repeats that gave one, if more than half did; else there is none, and the status is
    that of the first that failed.
    """
    if len(repeats) == 1:
        return repeats[0]
    scores = [score for judgement in repeats for score in judgement.scores]
    failed = [judgement for judgement in repeats if not judgement.scores]
    if 2 * len(scores) > len(repeats):
        verdict = Verdict("ok", fmean(scores), next(part.verdict.reasoning for part in repeats if part.scores))
    else:
        verdict = failed[0].verdict
    return Judgement(
        verdict,
        tuple(reply for judgement in repeats for reply in judgement.replies),
        repeats[0].key,
        next((judgement.error for judgement in failed if judgement.error), None),
        tuple(scores),
        tuple(mass for judgement in repeats for mass in judgement.masses),
        frozenset().union(*(judgement.fingerprints for judgement in repeats)),
        frozenset().union(*(judgement.refused for judgement in repeats)),
        frozenset().union(*(judgement.served for judgement in repeats)),
    )


def _ask_all(client: Client, turns: Sequence[_Turn], store: ReplyStore) -> dict[str, Judgement]:
    """Ask with limited concurrency; a question that fails gets status `error` and is not kept.

    There are twice as many threads as questions at a time: while some wait for the disk, the others ask. A thread asks
    nothing else until its reply is on the disk.
    """
    slots = Semaphore(client.concurrency)
    fatal: list[UserError] = []

    def judge(turn: _Turn) -> Judgement:
        with slots:
            if fatal:
                raise fatal[0]
            try:
                judgement = _judge(client, turn, lambda asked: _reply(client, store, asked))
            except RequestError as fault:
                return Judgement(Verdict("error"), (), turn.key, str(fault))
            except UserError as error:
                fatal.append(error)
                raise
        store.sync()
        return judgement

    asked = [_Asked(turn, Future()) for turn in turns]
    waiting = SimpleQueue[_Asked]()
    for one in asked:
        waiting.put(one)
    # An executor's threads would be waited for at the end of the process, and one may hang in a connection.
    threads = [
        Thread(target=_work, args=(waiting, judge), daemon=True) for _ in range(min(2 * client.concurrency, len(asked)))
    ]
    for thread in threads:
        thread.start()
    try:
        return _gathered([one.answer for one in asked])
    except BaseException as error:
        fatal.append(error if isinstance(error, UserError) else UserError("the run was interrupted"))
        client.close()  # wakes the threads that wait for a reply or a retry
        patience = time.monotonic() + PATIENCE
        for thread in threads:
            thread.join(max(0.0, patience - time.monotonic()))
        raise


class _Asked(NamedTuple):
    """A question for the threads, and the place for its judgement."""

    turn: _Turn
    answer: Future[Judgement]


def _work(waiting: "SimpleQueue[_Asked]", judge: Callable[[_Turn], Judgement]) -> None:
    """Judge until no question is left."""
    while True:
        try:
            asked = waiting.get_nowait()
        except Empty:
            return
        try:
            asked.answer.set_result(judge(asked.turn))
        except BaseException as error:
            asked.answer.set_exception(error)


def _gathered(futures: list[Future[Judgement]]) -> dict[str, Judgement]:
    judgements = {}
    failures = 0
    for future in progress(as_completed(futures), "judge", total=len(futures)):
        judgement = future.result()
        judgements[judgement.key] = judgement
        failures = failures + 1 if judgement.error else 0
        if failures == MOST_FAILURES:
            raise UserError(
                f"the judge failed on {failures} answers in a row (the last error: {judgement.error}); every reply so "
                "far is kept: get the service working and run `dvc repro` again, which asks only for what is missing"
            )
    return judgements


def _judge(client: Client, turn: _Turn, reply_to: Callable[[_Turn], Reply]) -> Judgement:
    """Read the reply to a question; one that cannot be read is sent back for repair, once, up to a bound."""
    reply = reply_to(turn)
    replies = [reply]
    verdict = read_verdict(reply.text, reply.finish, turn.question.asks_for)
    if verdict.status == "unparsable":
        repair = turn.question.after(clipped(reply.text, LONGEST_REPAIR))
        reply = reply_to(_Turn(question_key(client.judge, repair, turn.repeat), repair, turn.repeat))
        replies.append(reply)
        verdict = read_verdict(reply.text, reply.finish, turn.question.asks_for)
    judgement = Judgement(
        verdict,
        tuple(reply.text for reply in replies),
        turn.key,
        fingerprints=frozenset(reply.fingerprint for reply in replies if reply.fingerprint),
        refused=frozenset(option for reply in replies for option in reply.refused or ()),
        served=frozenset(reply.served for reply in replies if reply.served),
    )
    if verdict.score is None:
        return judgement
    weighted = expected_score(verdict.score, reply.tail) if turn.question.asks_for == "score" else None
    if weighted is None:
        return judgement._replace(scores=(verdict.score,))
    verdict = verdict._replace(score=weighted.score)
    return judgement._replace(verdict=verdict, scores=(weighted.score,), masses=(weighted.mass,))


class _NotKeptError(Exception):
    """The store has no reply to this question."""


def _kept_reply(store: ReplyStore, turn: _Turn) -> Reply:
    reply = store.get(turn.key)
    if reply is None:
        raise _NotKeptError
    return reply


def _reply(client: Client, store: ReplyStore, turn: _Turn) -> Reply:
    """Return the reply from the store; if there is none, ask and keep the answer."""
    try:
        return _kept_reply(store, turn)
    except _NotKeptError:
        return store.put(turn.key, client.ask(turn.question, turn.repeat), client.judge)
