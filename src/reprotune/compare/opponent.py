"""The answers of another revision as a file of outputs, to compare with.

A file and not the revision's name is what `judge.against` takes: DVC follows the content of files, whereas what a
branch means changes without notice, and a stage that looked it up would neither run again nor be restored from a
remote in a clone without that history.
"""

import tempfile
from pathlib import Path

from reprotune.artifacts import MODELS, RESPONSES, read_table
from reprotune.compare.names import git
from reprotune.compare.revision import Revision
from reprotune.errors import UserError
from reprotune.records import read_records

COMMIT_DIGITS = 8
RECORDS = "data/split/test.parquet"


def opponent_outputs(name: str, model: str, root: Path = Path()) -> tuple[str, list[dict[str, str]]]:
    """Return what a model of a revision is called (`finetuned@1234abcd`), and its answers to the revision's test rows.

    A row has the keys of AlpacaEval's `model_outputs.json`, and the `id` of the test row. Raises `UserError` if the
    revision, or a part of it, cannot be had.
    """
    if model not in MODELS:
        raise UserError(f"there is no model {model!r}: give one of {', '.join(MODELS)} with --model")
    revision = Revision(name, root)
    responses = f"data/responses/{model}.parquet"
    with tempfile.TemporaryDirectory(prefix="reprotune-") as folder:
        scratch = Path(folder) / "listings"
        scratch.mkdir()
        for path in (RECORDS, responses):
            revision.place(path, Path(folder) / path, scratch)
        try:
            records = {row["id"]: row for row in read_records(Path(folder) / RECORDS)}
            answers = read_table(Path(folder) / responses, RESPONSES).to_pylist()
        except UserError as error:
            raise UserError(f"{revision.title}: {str(error).replace(f'{folder}/', '')}") from error
    called = f"{model}@{_commit(revision)}"
    rows = []
    for answer in answers:
        record = records.get(answer["id"])
        if record is None:
            raise UserError(
                f"{revision.title}: {responses} and {RECORDS} do not belong together (row {answer['id']}): run "
                "`dvc repro` there"
            )
        rows.append(
            {
                "id": answer["id"],
                "instruction": record["instruction"],
                "input": record["input"],
                "output": answer["response"],
                "generator": called,
                "dataset": "reprotune",
            }
        )
    return called, rows


def _commit(revision: Revision) -> str:
    """Return the short commit; for files that are no commit's, the one that they were made from, marked as changed."""
    if revision.commit is not None:
        return revision.commit[:COMMIT_DIGITS]
    head = git(revision.root, "rev-parse", "HEAD").stdout[:COMMIT_DIGITS]
    return f"{head}+" if head else "workspace"
