"""Cases of a judge that misbehaves, on both protocols: no score is invented, no reply that came is paid for twice."""

import json
import threading
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import pyarrow.parquet as pq

from .cases import Plan, Step, subject
from .judge_steps import LARGE, STEPS
from .mutations import spoil
from .project import INPUTS, STAGES, Project
from .verdicts import Ran

from tests.builders.judge_service import Handler, ScriptedJudge  # isort: skip - `project` sets the path

AT_A_TIME = 2
MANY = 12
DEADLINES = {"connect": 1.0, "read": 0.6, "total": 5.0, "attempts": 3, "backoff": 0.01, "longest_backoff": 0.05}
"""Seconds become tenths, so that silence takes less than a case may."""
PATIENT = {"read": 15.0, "total": 25.0}
"""For replies that take the service itself a while."""


def true_score(question: str) -> int:
    """Return the score of a question's only valid verdict; odd replies have 7, which is none of these."""
    return 40 + zlib.crc32(question.encode()) % 61


def verdict(question: str) -> str:
    return json.dumps({"reasoning": f"mark {zlib.crc32(question.encode())}", "score": true_score(question)})


class Judge(ScriptedJudge):
    """Gives every question its own score, and some of them odd steps first; counts what it answered well."""

    def __init__(self, draw: Random, odd: list[str]) -> None:
        super().__init__()
        self._draw = draw
        self._odd = odd
        self._mine: dict[str, list[str]] = {}
        self.doings: list[str] = []
        self.answered: Counter[str] = Counter()
        """Question -> how often it got a good reply."""
        self.default = self.good

    def next_step(self, request: dict[str, Any]) -> Callable[[Handler, dict[str, Any]], None]:
        """Give the first questions the odd steps, and each of them all its steps before a good reply."""
        question = request["messages"][0]["content"]
        if question not in self._mine:
            count = min(len(self._odd), self._draw.choice([1, 1, 1, 2]))
            self._mine[question] = [self._odd.pop() for _ in range(count)]
        steps = self._mine[question]
        return STEPS[steps.pop(0)] if steps else self.good

    def behave(self) -> None:
        """Give only good replies from now on."""
        with self.lock:
            self._odd.clear()
            self._mine.clear()

    def good(self, handler: Handler, request: dict[str, Any]) -> None:
        question = request["messages"][0]["content"]
        # counted first: once it is sent, the client may have it
        with self.lock:
            self.answered[json.dumps(request["messages"])] += 1
        handler.send_reply(request, verdict(question), "stop", None)


@contextmanager
def serving(judge: Judge) -> Iterator[None]:
    thread = threading.Thread(target=judge.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield
    judge.shutdown()
    judge.server_close()


@subject("e", "judge", *INPUTS["judge"], share=6)
def judged(draw: Random, folder: Path, project: Project) -> Plan:
    """Some replies are odd in the first run and good in the second, which asks for nothing that is there."""
    names = draw.sample(sorted(STEPS), draw.choice([1, 1, 2, 4, 8]))
    return plan(draw, folder, project, names, "")


@subject("e", "judge-large", *INPUTS["judge"], share=1)
def judge_large(draw: Random, folder: Path, project: Project) -> Plan:
    """Very many replies of megabytes come at the same time."""
    names = [f"{draw.choice(sorted(LARGE))} of 4 MB" for _ in range(MANY)]
    return plan(draw, folder, project, names, "", at_a_time=MANY)


@subject("e", "judge-store", *INPUTS["judge"], share=1)
def judge_store(draw: Random, folder: Path, project: Project) -> Plan:
    """The file of replies is spoiled between two runs: what is unreadable is asked again, and nothing is invented."""

    def spoiled() -> str:
        return spoil(folder / ".reprotune/judge/replies.jsonl", draw)

    return plan(draw, folder, project, [], "", spoiled)


def plan(
    draw: Random,
    folder: Path,
    project: Project,
    names: list[str],
    what: str,
    before: Callable[[], str] | None = None,
    at_a_time: int = AT_A_TIME,
) -> Plan:
    """Return two runs against one service, the first with these odd steps."""
    backend = draw.choice(["ollama", "openai"])
    project.set_params(
        folder,
        {
            "judge.backend": backend,
            "judge.canaries": draw.choice([0, 4]),
            "judge.pairwise": False,
            "judge.min_canary_pass": 0.0,
            "judge.min_coverage": draw.choice([0.0, 0.95]),
        },
    )
    judge = Judge(draw, list(names))
    server = serving(judge)
    server.__enter__()
    address = judge.address
    environment = {
        "OLLAMA_HOST": address,
        "OPENAI_BASE_URL": f"http://{address}/v1",
        "NO_PROXY": "127.0.0.1",
        "REPROTUNE_JUDGE_CONCURRENCY": str(at_a_time),
    }
    patience = PATIENT if at_a_time > AT_A_TIME else {}
    request = {"environment": environment, "deadlines": DEADLINES | patience}

    def between() -> str:
        judge.behave()
        # A reply that was cut off or refused has come, too, and is kept without a score: whatever their share is, the
        # second run ends well. That it leaves no answer out which the service would judge now, `invented` checks.
        project.set_params(folder, {"judge.min_coverage": 0.0})
        return before() if before else ""

    steps = [Step(STAGES["judge"], dict(request)), Step(STAGES["judge"], dict(request), before=between)]

    def check(ran: list[Ran]) -> str | None:
        # A run that ended early may have left behind what was in flight, and a busy service answers one that has left.
        in_flight = 0 if ran[0].code == 0 and at_a_time == AT_A_TIME else 2 * at_a_time
        twice = sum(count - 1 for count in judge.answered.values())
        if twice > in_flight and before is None:
            return f"{twice} questions were asked again though they were answered"
        return invented(folder)

    def stop() -> None:
        server.__exit__(None, None, None)

    return Plan(
        f"{backend}: {', '.join(names) or what}; ",
        steps,
        check=check,
        goes_on=True,
        last_must_be_fine=True,
        after=stop,
    )


def invented(folder: Path) -> str | None:
    """Return which score is none that the service gave, in the judge's transcript and in the scores."""
    path = folder / "data/judgements/verdicts.jsonl"
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    given = {}
    for line in lines:
        if line["score"] is None:
            continue
        mark = next((reply.split("mark ")[1] for reply in reversed(line["replies"]) if "mark " in reply), "")
        digits = "".join(character for character in mark[:10] if character.isdigit())
        if not digits or line["score"] != 40 + int(digits) % 61:
            return f"{line['id']} of {line['model']} has the score {line['score']} for {line['replies']!r}"[:600]
        given[line["id"], line["model"]] = line["score"]
    for row in pq.read_table(folder / "data/judgements/scores.parquet").to_pylist():
        if row["status"] == "error":
            return f"{row['id']} of {row['model']} is left out, though the service answers well"
        if row["status"] == "ok" and given.get((row["id"], row["model"])) != row["score"]:
            return f"{row['id']} of {row['model']} has the score {row['score']}, which no reply gives"
        if row["status"] not in ("ok", "exact", "empty") and row["score"] is not None:
            return f"{row['id']} of {row['model']} is {row['status']} and has the score {row['score']}"
    return None
