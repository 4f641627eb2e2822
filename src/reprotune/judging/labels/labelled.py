"""Scores against labels of the same answers, and a mapping from the former to the latter."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from reprotune.artifacts import STATISTICS, write_json
from reprotune.errors import UserError
from reprotune.judging.answers import Answer, answer_questions, score_offline, with_judgements
from reprotune.judging.labels.read import Scores, names_file, read_items, read_scores, scored_by_all
from reprotune.judging.offline import measure
from reprotune.judging.questions.prompts import Item
from reprotune.judging.run import judge_parts, method_name, opened_judge
from reprotune.params.sections.judge import JudgeParams
from reprotune.scratch import file_sha256
from reprotune.statistics.agreement import Agreement, agreement
from reprotune.statistics.calibration import FITS, FOLDS, Mapping, cross_fitted, mapped, read_mapping


class LabelledAnswers:
    """The answers of one file with their labels, to compare scores with."""

    def __init__(self, path: Path, answer_field: str, labels_source: str) -> None:
        """Read the file and its labels; raises `UserError` where they do not belong together."""
        self.path, self.answer_field, self.labels_source = path, answer_field, labels_source
        self.items = read_items(path, answer_field)
        self.labels = read_scores(labels_source, path, len(self.items))

    def scores(self, source: str) -> Scores:
        """Read scores from a file, or from a field of the answers' file."""
        return read_scores(source, self.path, len(self.items))

    def agreement(self, scores: Scores) -> Agreement:
        """Compare scores with the labels over the rows that have both."""
        places = scored_by_all([scores, self.labels])
        lengths = [len(self.items[place].response.strip()) for place in places]
        return agreement(_taken(scores, places).tolist(), _taken(self.labels, places).tolist(), lengths)

    def fit(self, kind: str, name: str, scores: Scores) -> tuple[Mapping, Agreement]:
        """Fit a mapping; returns it with its provenance, and its agreement with labels that it was not fitted on."""
        places = scored_by_all([scores, self.labels], to_fit=True)
        own, labels, texts = _taken(scores, places), _taken(self.labels, places), self._texts(places)
        crossed = _placed(cross_fitted(kind, own, labels, texts), places, len(scores))
        found = self.agreement(crossed)
        sources = {source for source in (self.labels_source, name) if names_file(source)}
        provenance = {
            "n": len(places),
            "answers": {"file": self.path.name, "field": self.answer_field, "sha256": file_sha256(self.path)},
            "scores": Path(name).name,
            "labels": Path(self.labels_source).name,
            "sha256": {Path(source).name: file_sha256(Path(source)) for source in sorted(sources)},
            "cross_validated": found._asdict(),
        }
        return {**FITS[kind](own, labels, texts), "provenance": provenance}, found

    def apply(self, mapping_path: Path, scores: Scores) -> Scores:
        """Return the scores under a mapping that was stored earlier."""
        mapping = read_mapping(mapping_path)
        places = scored_by_all([scores])
        return _placed(mapped(mapping, _taken(scores, places), self._texts(places)), places, len(scores))

    def _texts(self, places: Sequence[int]) -> np.ndarray:
        """Return the statistics of each answer, one row per place, in the order of `STATISTICS`."""
        measured = [measure(self.items[place].reference, self.items[place].response) for place in places]
        return np.array([[getattr(row, name) for name in STATISTICS] for row in measured], dtype=float)


def _taken(scores: Scores, places: Sequence[int]) -> np.ndarray:
    """Return the scores at some places."""
    return np.array([scores[place] for place in places], dtype=float)


def _placed(values: np.ndarray, places: Sequence[int], length: int) -> Scores:
    """Put values back at their places in a list of `length` scores; the others are null."""
    found = dict(zip(places, values.tolist(), strict=True))
    return [found.get(place) for place in range(length)]


def own_scores(items: Sequence[Item], params: JudgeParams | None) -> tuple[str, Scores]:
    """Score the answers as the pipeline would: by the judge of `params`, or (null) by the offline composite.

    Returns the name of the method and the scores.
    """
    answers = [Answer("labelled", f"row{number}", None, item) for number, item in enumerate(items, start=1)]
    scored = score_offline(answers)
    if params is None:
        return "offline_composite", [row.score for row in scored]
    with opened_judge(params) as judge:
        if judge is not None:
            scored = with_judgements(scored, iter(judge.ask(answer_questions(answers, params.rubric))))
        method = method_name(judge_parts(params, judge, scored))
    return method, [row.score for row in scored]


def agreement_lines(name: str, found: Agreement) -> list[str]:
    """Return an agreement as text: one line per measure."""
    lines = [f"{name}  (n = {found.n})"]
    for field, value in found._asdict().items():
        if field != "n":
            words = "not defined" if value is None else f"{value:.6g}"
            lines.append(f"  {field.replace('_', ' '):20} {words}")
    return lines


def run_calibration(
    path: Path,
    answer_field: str,
    labels: str,
    sources: Sequence[str],
    params: JudgeParams | None,
    mapping: Path | None,
    fit: str | None,
    output: Path,
) -> Iterator[str]:
    """Yield the lines that `reprotune calibrate` prints; fits and stores a mapping where `fit` names one.

    Scores come from `sources`; without any, from the judge of `params` or, where that is null, from the offline
    composite.
    """
    if fit is not None and fit not in FITS:
        raise UserError(f"--fit is {fit}, but should be one of {', '.join(FITS)}")
    if fit is not None and (len(sources) > 1 or mapping is not None):
        raise UserError("--fit needs a single list of unmapped scores: name at most one --scores, and no --mapping")
    if fit is not None and output.is_dir():
        raise UserError(f"--output is {output}, which is a folder: name a file in it")
    data = LabelledAnswers(path, answer_field, labels)
    if fit is not None:
        scored_by_all([data.labels], to_fit=True)  # before a judge is asked, which may cost money
    lists = [(source, data.scores(source)) for source in sources] or [own_scores(data.items, params)]
    for name, scores in lists:
        fitted = None if fit is None else data.fit(fit, name, scores)
        if mapping is not None:
            scores, name = data.apply(mapping, scores), f"{name} under {mapping}"  # noqa: PLW2901 - the mapped list
        yield from agreement_lines(name, data.agreement(scores))
        if fitted is not None:
            write_json(output, fitted[0])
            yield from agreement_lines(f"{fit} mapping of {name}, cross-validated in {FOLDS} folds", fitted[1])
            yield f"the mapping is in {output}"
