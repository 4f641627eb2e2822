"""The answers to be scored: responses of each model joined with the records they answer."""

from pathlib import Path
from typing import NamedTuple

from reprotune.artifacts import RECORDS, RESPONSES, read_table
from reprotune.errors import UserError
from reprotune.judging.questions.prompts import Item


class Answer(NamedTuple):
    """One model's answer to one record."""

    model: str
    id: str
    category: str | None
    item: Item


def read_answers(records_path: Path, responses_paths: dict[str, Path]) -> list[Answer]:
    """Read the answers of every model, sorted by model and id.

    Raises `UserError` unless each model answered every record, and no other, with the record's own reference.
    """
    records = {record["id"]: record for record in read_table(records_path, RECORDS).to_pylist()}
    if not records:
        raise UserError(f"{records_path} has no rows, so there is nothing to judge: raise split.test in params.yaml")
    answers = []
    for model, path in responses_paths.items():
        responses = {response["id"]: response for response in read_table(path, RESPONSES).to_pylist()}
        for identifier in sorted(records.keys() ^ responses.keys()):
            lacks, has = (path, records_path) if identifier in records else (records_path, path)
            raise UserError(f"{lacks} has no row {identifier}, which is in {has}: run `dvc repro` to rebuild both")
        for identifier, response in responses.items():
            record = records[identifier]
            if response["reference"] != record["output"]:
                raise UserError(
                    f"{path}: the reference of row {identifier} differs from the output in {records_path}: run "
                    "`dvc repro` to rebuild both"
                )
            item = Item(record["instruction"], record["input"], record["output"], response["response"])
            answers.append(Answer(model, identifier, record["category"], item))
    return sorted(answers, key=lambda answer: (answer.model, answer.id))
