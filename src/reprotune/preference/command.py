"""The commands `ballot` and `votes`."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from reprotune.preference.contestants import Contestant

app = typer.Typer(rich_markup_mode=None)

RECORDS = Path("data/split/test.parquet")


@app.command()
def ballot(
    name: Annotated[str, typer.Argument(help="What to call the ballot's files.")],
    contestants: Annotated[
        list[str],
        typer.Argument(
            help="Whose answers: base or finetuned (as they are here), a revision (its fine-tuned model; REV:base for "
            "its base model), a Parquet file of responses, a JSON or JSON Lines file of outputs. NAME=... names one."
        ),
    ],
    pairs: Annotated[int | None, typer.Option(min=1, help="Show only so many pairs, drawn at random.")] = None,
    records: Annotated[Path, typer.Option(help="The records that responses answer.")] = RECORDS,
) -> None:
    """Make a page on which people vote between answers.

    Writes data/votes/NAME.ballot.html, a page without names that needs no network, and data/votes/NAME.ballot.parquet,
    the key that tells whose the answers are.
    """
    from reprotune.params.sections.preference import PreferenceParams
    from reprotune.preference.ballot import Plan
    from reprotune.preference.contestants import questions
    from reprotune.preference.writing import write_ballot

    params = PreferenceParams.load("preference")
    with tempfile.TemporaryDirectory(prefix="reprotune-") as scratch:
        found = [_contestant(word, records, Path(scratch) / str(place)) for place, word in enumerate(contestants)]
    asked, alone = questions(found)
    for line in write_ballot(name, asked, alone, Plan(params.seed, params.controls, pairs)):
        print(line)


def _contestant(word: str, records: Path, scratch: Path) -> "Contestant":
    """Read the answers that a word of the command line means; raises `UserError` if there are none."""
    from reprotune.artifacts import MODELS
    from reprotune.compare.revision import Revision
    from reprotune.preference.contestants import of_outputs, of_responses
    from reprotune.preference.lines import checked_name

    label, equals, source = word.partition("=")
    if not equals or Path(word).exists():
        label, source = "", word
    if label:
        label = checked_name(label, "the name before =", "write NAME=SOURCE")
    path = Path(source)
    if source in MODELS:
        return of_responses(label or source, Path(f"data/responses/{source}.parquet"), RECORDS)
    if path.suffix == ".parquet":
        return of_responses(label or path.stem, path, records)
    if path.suffix in (".json", ".jsonl"):
        return of_outputs(path, label or None)
    revision_name, _, model = source.partition(":")
    model = model or "finetuned"
    revision = Revision(revision_name)
    files = {name: scratch / name for name in (f"data/responses/{model}.parquet", str(RECORDS))}
    for name, place in files.items():
        revision.place(name, place, scratch)
    commit = f"@{revision.commit[:8]}" if revision.commit else ""
    responses, asked = files.values()
    return of_responses(label or f"{source}{commit}", responses, asked)


@app.command()
def votes(
    action: Annotated[str | None, typer.Argument(metavar="[add]", help="`add`: file votes into data/votes/.")] = None,
    files: Annotated[
        list[Path] | None, typer.Argument(help="Downloads of a ballot's page, or rows of model_a, model_b, winner.")
    ] = None,
) -> None:
    """Show how the votes stand, or file new ones.

    `reprotune votes` counts what is in data/votes/; `reprotune votes add FILE` checks a voter's file and puts it there.
    """
    from reprotune.errors import UserError
    from reprotune.params.sections.preference import PreferenceParams
    from reprotune.preference.count import count_votes
    from reprotune.preference.filing import add_votes
    from reprotune.preference.votes import FOLDER
    from reprotune.results.votes import vote_lines

    params = PreferenceParams.load("preference")
    if action not in (None, "add") or (action == "add") != bool(files):
        raise UserError("say `reprotune votes` to see how the votes stand, or `reprotune votes add FILE` to file some")
    if files:
        for path in files:
            for line in add_votes(path, FOLDER, params.min_seconds):
                print(line)
        print("`dvc repro` counts them; commit data/votes/ with the results.")
        return
    _, found = count_votes(FOLDER, Path("data/responses"), Path("data/judgements"), params)
    for line in vote_lines(found):
        print(line)
