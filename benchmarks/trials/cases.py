"""What a case is, and how one is run: prepared in a folder of its own, judged by how its commands end."""

import re
import shutil
import tempfile
import traceback
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from .commands import Forker
from .project import SETTINGS, Project
from .verdicts import Ran, Result, different, hashes, judged

QUIET = ("gate", "deps")
"""Commands whose exit code 1 may be an answer."""


@dataclass
class Step:
    """One command of a case."""

    words: list[str]
    request: dict[str, Any] = field(default_factory=dict)
    """What `Forker.run` takes besides."""
    prepares: bool = False
    """It has to end well or be stopped; its verdict does not count."""
    before: Callable[[], str] | None = None
    """Spoils what the steps so far have left, and tells what it did."""


@dataclass
class Plan:
    """What is to happen in a prepared folder; the steps end with the first that fails."""

    what: str
    steps: list[Step]
    bad: bool = False
    """The input cannot be right, so exit code 0 of the last step is not."""
    same: tuple[str, ...] = ()
    """Where all steps end well, these must hold what they hold in the project."""
    check: Callable[[list[Ran]], str | None] | None = None
    """Looks at the results of steps that ended well; returns what is wrong."""
    goes_on: bool = False
    """A step that fails does not keep the next from running."""
    last_must_be_fine: bool = False
    """Whatever came before, the last step has nothing to fail at; only then are the results looked at."""
    misleading: str = ""
    """A pattern of sentences that blame something else."""
    after: Callable[[], None] | None = None
    """Puts away what the case needed."""


class Subject(NamedTuple):
    """A kind of case."""

    group: str
    make: Callable[[Random, Path, Project], Plan]
    needs: tuple[str, ...] | None
    """What the folder holds at first; null: the whole repository."""
    share: int = 1
    """How often it is drawn."""


SUBJECTS: dict[str, Subject] = {}


def subject(
    group: str, name: str, *needs: str, share: int = 1, whole: bool = False
) -> Callable[[Callable[[Random, Path, Project], Plan]], Callable[[Random, Path, Project], Plan]]:
    """Add a function that prepares a folder to the subjects."""

    def add(make: Callable[[Random, Path, Project], Plan]) -> Callable[[Random, Path, Project], Plan]:
        SUBJECTS[name] = Subject(group, make, None if whole else (*SETTINGS, *needs), share)
        return make

    return add


def drawn(groups: str, count: int, only: Collection[str] = ()) -> Iterator[str]:
    """Yield `count` names of cases, spread over the subjects of these groups (those in `only`) by their shares."""
    chosen = {name: one for name, one in SUBJECTS.items() if one.group in groups and (not only or name in only)}
    line = [name for name, one in chosen.items() for _ in range(one.share)]
    Random(0).shuffle(line)
    numbers = dict.fromkeys(chosen, 0)
    for index in range(count if line else 0):
        name = line[index % len(line)]
        yield f"{chosen[name].group}/{name}/{numbers[name]}"
        numbers[name] += 1


def run_case(forker: Forker, project: Project, case: str, seed: int, work: Path, keep: bool = False) -> Result:
    """Prepare a case in a new folder, run its steps, and judge; the folder is deleted unless `keep` or it is bad."""
    _, name, _ = case.split("/")
    one = SUBJECTS[name]
    folder = Path(tempfile.mkdtemp(prefix=f"{case.replace('/', '-')}-", dir=work))
    folder.chmod(0o755)
    try:
        if one.needs is None:
            project.whole(folder)
        else:
            project.part(folder, one.needs)
        plan = one.make(Random(f"{seed}/{case}"), folder, project)
        try:
            result = run_plan(forker, project, folder, plan, case)
        finally:
            if plan.after:
                plan.after()
    except Exception:  # the harness's own fault; others go on
        result = Result(case, "vague", "the harness itself failed", traceback.format_exc())
    if keep or result.bad:
        result.what += f" [{folder}]"
    else:
        shutil.rmtree(folder, ignore_errors=True)
    return result


def run_plan(forker: Forker, project: Project, folder: Path, plan: Plan, case: str) -> Result:
    result = Result(case, "fine", plan.what)
    for step in plan.steps:
        if step.before:
            result.what += step.before()
        ran = forker.run(folder, step.words, **step.request)
        result.ran.append(ran)
        result.seconds += ran.seconds
        if step.prepares:
            continue
        verdict, why = judged(ran, fails_quietly=len(step.words) > 1 and step.words[1] in QUIET)
        if verdict == "sentence" and (blames_left_out(project, why) or re.search(plan.misleading or "$^", why)):
            verdict = "vague"
        if verdict == "fine":
            continue
        worse = verdict not in ("sentence", "cure")
        if worse or result.verdict == "fine":
            result.verdict, result.why = verdict, f"{' '.join(step.words)}: {why}"
        if worse or not plan.goes_on:
            return result
    look_at_results(project, folder, plan, result)
    return result


LEFT_OUT = re.compile(r"(data/embedded/[\w./-]*\w) is (?:not a file|missing|neither)")


def blames_left_out(project: Project, why: str) -> bool:
    """Tell whether a sentence is about a file that the case has left out: then what was to be tried was not."""
    return any((project.root / path).exists() for path in LEFT_OUT.findall(why))


def look_at_results(project: Project, folder: Path, plan: Plan, result: Result) -> None:
    """Judge what the steps have left, where they have left anything."""
    if plan.last_must_be_fine and result.ran[-1].code:
        result.verdict, result.why = "wrong", f"the last step fails: {result.why}"
    if plan.bad and not result.bad and not result.ran[-1].code:
        result.verdict = "accepted though bad"
    if result.bad or (result.verdict != "fine" and not plan.last_must_be_fine):
        return
    if plan.same and (files := different(hashes(folder, plan.same), hashes(project.root, plan.same))):
        result.verdict, result.why = "wrong", f"differ: {', '.join(files[:5])}"
    elif plan.check and (fault := plan.check(result.ran)):
        result.verdict, result.why = "wrong", fault
