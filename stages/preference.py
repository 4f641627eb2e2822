"""Count the votes in data/votes/ and compare them with what judge and scorer say of the same answers."""

from pathlib import Path

import pyarrow as pa

from reprotune.artifacts import replaced_directory, write_json, write_table
from reprotune.console import counted, note
from reprotune.params.sections.preference import PreferenceParams
from reprotune.pipeline.stage import run_stage
from reprotune.preference.contracts import VOTES
from reprotune.preference.count import count_votes

VOTES_FOLDER = Path("data/votes")
RESPONSES = Path("data/responses")
JUDGEMENTS = Path("data/judgements")
OUTPUT = Path("data/preference")


def main() -> None:
    params = PreferenceParams.load("preference")
    votes, found = count_votes(VOTES_FOLDER, RESPONSES, JUDGEMENTS, params)
    with replaced_directory(OUTPUT) as folder:
        write_table(folder / "votes.parquet", pa.Table.from_pylist([vote._asdict() for vote in votes], schema=VOTES))
        write_json(folder / "metrics.json", found)
    if not found["votes"]:
        note("preference: nobody has voted yet (`reprotune ballot` makes a page to vote on)")
        return
    note(f"preference: {counted(found['votes'], 'vote')} of {counted(found['voters'], 'voter')}")
    if found["outdated"]:
        note(f"preference: {counted(found['outdated'], 'pair')} voted on had other answers than the models give now")


if __name__ == "__main__":
    run_stage("preference", main)
