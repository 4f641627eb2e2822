"""The command `reprotune calibrate`: scores against labels, and a mapping from the one to the other."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from reprotune.artifacts import write_json
from reprotune.errors import UserError
from reprotune.judging.answers import Answer
from reprotune.judging.labels.read import read_items, read_scores, scored_by_all
from reprotune.judging.offline import measure
from reprotune.judging.questions.prompts import Item
from reprotune.judging.run import opened_judge
from reprotune.judging.scoring import answer_questions, method_name, score_offline, with_judgements
from reprotune.params.sections.judge import JudgeParams
from reprotune.scratch import file_sha256
from reprotune.statistics.agreement import Agreement, agreement
from reprotune.statistics.calibration import FITS, cross_fitted, mapped, text_features

Scores = list[float | None]


class Labelled:
    """The answers of one file with their labels, to compare scores with."""

    def __init__(self, path: Path, answer_field: str, labels_source: str) -> None:
        """Read the file and its labels; raises `UserError` where they do not belong together."""
        self.path, self.answer_field, self.labels_source = path, answer_field, labels_source
        self.items = read_items(path, answer_field)
        self.labels = read_scores(labels_source, path, len(self.items))

    def scores(self, source: str) -> Scores:
        """Read scores from a file, or from a field of the answers' file."""
        return read_scores(source, self.path, len(self.items))

    def compare(self, scores: Scores) -> Agreement:
        """Compare scores with the labels over the rows that have both."""
        places = scored_by_all([scores, self.labels])
        lengths = [len(self.items[place].response.strip()) for place in places]
        return agreement(_taken(scores, places).tolist(), _taken(self.labels, places).tolist(), lengths)

    def fit(self, kind: str, name: str, scores: Scores) -> tuple[dict[str, Any], Agreement]:
        """Fit a mapping; returns it with its provenance, and its agreement with labels it was not fitted on."""
        places = scored_by_all([scores, self.labels])
        own, labels, texts = _taken(scores, places), _taken(self.labels, places), self._texts(places)
        crossed: Scores = [None] * len(scores)
        for place, score in zip(places, cross_fitted(kind, own, labels, texts), strict=True):
            crossed[place] = float(score)
        found = self.compare(crossed)
        sources = {source for source in (self.labels_source, name) if Path(source).is_file()}
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
        """Return the scores under a mapping that was stored before."""
        try:
            mapping = json.loads(mapping_path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise UserError(f"{mapping_path} cannot be read as a mapping ({error}): fit it anew") from error
        places = scored_by_all([scores])
        result: Scores = [None] * len(scores)
        for place, score in zip(places, mapped(mapping, _taken(scores, places), self._texts(places)), strict=True):
            result[place] = float(score)
        return result

    def _texts(self, places: Sequence[int]) -> np.ndarray:
        items = [self.items[place] for place in places]
        return text_features([measure(item.reference, item.response) for item in items])


def _taken(scores: Scores, places: Sequence[int]) -> np.ndarray:
    return np.array([scores[place] for place in places], dtype=float)


def own_scores(items: Sequence[Item], params: JudgeParams | None) -> tuple[str, Scores]:
    """Score the answers as the pipeline would: by the judge of `params`, or by the offline composite where null."""
    answers = [Answer("labelled", f"row{number}", None, item) for number, item in enumerate(items, start=1)]
    scored = score_offline(answers)
    if params is None:
        return "offline_composite", [row.score for row in scored]
    with opened_judge(params) as judge:
        if judge is not None:
            scored = with_judgements(scored, iter(judge.ask(answer_questions(scored, params.rubric))))
    return method_name(params), [row.score for row in scored]


def agreement_lines(name: str, found: Agreement) -> list[str]:
    """Return what to print: one line per measure."""
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
    """Yield the lines that the command prints; fits and stores a mapping where `fit` names one.

    Scores come from `sources`; without any, from the judge of `params`, or from the offline composite where null.
    """
    if fit is not None and fit not in FITS:
        raise UserError(f"--fit is {fit}, but should be one of {', '.join(FITS)}")
    if fit is not None and (len(sources) > 1 or mapping is not None):
        raise UserError("--fit needs one list of scores as it was given: name one --scores, and no --mapping")
    data = Labelled(path, answer_field, labels)
    lists = [(source, data.scores(source)) for source in sources] or [own_scores(data.items, params)]
    for name, scores in lists:
        if mapping is not None:
            scores, name = data.apply(mapping, scores), f"{name} under {mapping}"  # noqa: PLW2901 - the mapped list
        yield from agreement_lines(name, data.compare(scores))
        if fit is not None:
            fitted, found = data.fit(fit, name, scores)
            write_json(output, fitted)
            yield from agreement_lines(f"{fit} mapping of {name}, cross-validated in ten folds", found)
            yield f"the mapping is in {output}"
