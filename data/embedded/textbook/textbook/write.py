"""Stage `write`: params -> build/text/{train,held_out}.txt (a document a line) and build/dataset.jsonl."""

from pathlib import Path

from reprotune.artifacts import replaced_directory, write_text
from reprotune.console import run_stage
from textbook.asking import dataset, to_jsonl
from textbook.recipe import TextParams, WorldParams
from textbook.tellings import documents
from textbook.world import all_facts

TEXT = Path("build/text")
DATASET = Path("build/dataset.jsonl")


def main() -> None:
    """Write the textbook and the dataset."""
    world, text = WorldParams.load("world"), TextParams.load("text")
    facts = all_facts(world.seed)
    write_text(DATASET, to_jsonl(dataset(facts, world.seed)))
    parts = {
        "train": range(text.rounds),
        "held_out": range(-text.held_out_rounds, 0),
    }
    TEXT.parent.mkdir(parents=True, exist_ok=True)
    with replaced_directory(TEXT) as folder:
        for name, rounds in parts.items():
            lines = documents(facts, rounds, text.shares.model_dump(), text.seed)
            write_text(folder / f"{name}.txt", "".join(f"{line}\n" for line in lines))


if __name__ == "__main__":
    run_stage("write", main)
