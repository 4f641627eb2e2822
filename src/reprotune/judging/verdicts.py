"""Asking a judge for many verdicts at once, each question at most once ever."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from typing import NamedTuple

from reprotune.console import note, progress
from reprotune.errors import UserError
from reprotune.judging.clients.protocol import Client
from reprotune.judging.clients.transport import RequestError
from reprotune.judging.prompts import Question
from reprotune.judging.replies import Verdict, read_verdict
from reprotune.judging.store import Reply, ReplyStore, question_key

MOST_FAILURES = 10
"""Failed questions in a row after which asking on is pointless: the service is ill, not one answer."""


class Judgement(NamedTuple):
    """A verdict and where it comes from."""

    verdict: Verdict
    replies: tuple[str, ...]
    """Every raw reply, in order; two when the first could not be read."""
    key: str
    """The store's key of the first question."""
    error: str | None = None
    """What went wrong, for status `error`."""


def collect_verdicts(client: Client, questions: Sequence[Question], store: ReplyStore) -> list[Judgement]:
    """Return one judgement per question, in order: from the store where it has the replies, else from the judge.

    Raises `UserError` when the service is gone or fails again and again; the replies that came are in the store.
    """
    unique = {question_key(client.judge, question): question for question in questions}
    judgements: dict[str, Judgement] = {}
    missing: dict[str, Question] = {}
    for key, question in unique.items():
        try:
            judgements[key] = _judge(key, question, lambda asked: _kept_reply(client, store, asked))
        except _NotKeptError:
            missing[key] = question
    if missing:
        note(f"judge: {len(unique) - len(missing)} of {len(unique)} verdicts are kept, {len(missing)} to ask for")
        client.prepare(list(missing.values()))
        judgements |= _ask_all(client, missing, store)
    return [judgements[question_key(client.judge, question)] for question in questions]


def _ask_all(client: Client, questions: dict[str, Question], store: ReplyStore) -> dict[str, Judgement]:
    """Ask with bounded concurrency; a question that fails gets status `error` and is not kept."""

    def judge(key: str, question: Question) -> Judgement:
        try:
            return _judge(key, question, lambda asked: _reply(client, store, asked))
        except RequestError as fault:
            return Judgement(Verdict("error"), (), key, str(fault))

    with ThreadPoolExecutor(client.concurrency) as pool:
        futures = [pool.submit(judge, key, question) for key, question in questions.items()]
        try:
            return _gathered(futures)
        except BaseException:
            client.close()  # wakes the threads that wait for a retry
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _gathered(futures: list[Future[Judgement]]) -> dict[str, Judgement]:
    judgements = {}
    failures = 0
    for future in progress(as_completed(futures), "judge", total=len(futures)):
        judgement = future.result()
        judgements[judgement.key] = judgement
        failures = failures + 1 if judgement.error else 0
        if failures == MOST_FAILURES:
            raise UserError(
                f"the judge failed on {failures} answers in a row (the last: {judgement.error}); every reply so far "
                "is kept: mend the service and run `dvc repro` again, which asks only for what is missing"
            )
    return judgements


def _judge(key: str, question: Question, reply_to: Callable[[Question], Reply]) -> Judgement:
    """Read the reply to a question; one that cannot be read is sent back for repair, once."""
    reply = reply_to(question)
    verdict = read_verdict(reply.text, reply.finish)
    if verdict.status != "unparsable":
        return Judgement(verdict, (reply.text,), key)
    repaired = reply_to(question.after(reply.text))
    return Judgement(read_verdict(repaired.text, repaired.finish), (reply.text, repaired.text), key)


class _NotKeptError(Exception):
    """The store has no reply to a question."""


def _kept_reply(client: Client, store: ReplyStore, question: Question) -> Reply:
    reply = store.get(question_key(client.judge, question))
    if reply is None:
        raise _NotKeptError
    return reply


def _reply(client: Client, store: ReplyStore, question: Question) -> Reply:
    """Return the kept reply or ask; what was asked is on the disk before the verdict is read."""
    try:
        return _kept_reply(client, store, question)
    except _NotKeptError:
        reply = client.ask(question)
        store.put(question_key(client.judge, question), reply, client.judge)
        return reply
