"""Stage `write`: params -> build/text/{train,held_out}.txt (a document a line), build/dataset.jsonl and the exam.

The exam is build/exam.jsonl; build/held_out.txt holds pages on which to measure what fine-tuning forgot.
"""

import random
from pathlib import Path

from reprotune.artifacts import replaced_directory, write_text
from reprotune.console import run_stage
from textbook import exam
from textbook.asking import dataset, to_jsonl
from textbook.facts import Fact
from textbook.recipe import TextParams, WorldParams
from textbook.tellings import documents
from textbook.world import all_facts

TEXT = Path("build/text")
DATASET = Path("build/dataset.jsonl")
EXAM = Path("build/exam.jsonl")
HELD_OUT = Path("build/held_out.txt")
HELD_OUT_PAGES = 240


def main() -> None:
    """Write the textbook, the dataset, the exam and the held-out pages."""
    world, text = WorldParams.load("world"), TextParams.load("text")
    facts = all_facts(world.seed)
    write_text(DATASET, to_jsonl(dataset(facts, world.seed)))
    write_text(EXAM, exam.to_jsonl(exam.exam(facts, world.seed)))
    shares = text.shares.model_dump()
    parts = {
        name: list(documents(facts, rounds, shares, text.seed))
        for name, rounds in (("train", range(text.rounds)), ("held_out", range(-text.held_out_rounds, 0)))
    }
    TEXT.parent.mkdir(parents=True, exist_ok=True)
    with replaced_directory(TEXT) as folder:
        for name, lines in parts.items():
            write_text(folder / f"{name}.txt", "".join(f"{line}\n" for line in lines))
    write_text(HELD_OUT, "".join(f"{page}\n" for page in held_out_pages(facts, text, set(parts["train"]))))


def held_out_pages(facts: list[Fact], text: TextParams, trained: set[str]) -> list[str]:
    """Return a sample of the pages of rounds that pretraining never sees, for it counts its own from 0.

    Three rounds in a row hold all kinds of pages, and as many are taken of each. A line of the book of reference may
    come out as one that is `trained` on; such are left out.
    """
    rng = random.Random(f"held-out pages {text.seed}")
    pages: list[str] = []
    for number in (-3, -2, -1):
        new = dict.fromkeys(documents(facts, range(number, number + 1), text.shares.model_dump(), text.seed))
        told = [page for page in new if page not in trained]
        pages += rng.sample(told, min(HELD_OUT_PAGES // 3, len(told)))
    return rng.sample(pages, len(pages))


if __name__ == "__main__":
    run_stage("write", main)
