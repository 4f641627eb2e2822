"""Write a made-up dataset of templated tasks, as in public prompt collections: `make_templated.py ROWS OUTPUT.jsonl`.

Each made-up record (a passage of 10 to 1,000 words, 110 on average, and a question) is worded by several of twenty
templates, as in collections in the manner of T0 and Flan. So most rows share a long passage with some others, at
similarities on both sides of any sensible threshold: the hard case for finding near-duplicates.
The same seed gives the same bytes.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from make_alpaca import WORDS, vocabulary

MOST_WORDINGS = 14
LONGEST = 1000
TEMPLATES = [
    "{passage}\n\nQuestion: {question}?\nAnswer:",
    "Read the following passage and answer the question. {passage} {question}?",
    'Given the paragraph below, please answer the question: "{question}"?\n\n{passage}',
    "{passage}\n\nBased on the passage above, {question}?",
    "I'm taking a test and have to guess the right answer to the question after the paragraph.\n\n"
    "Paragraph: {passage}\n\nQuestion: {question}?\nOptions: yes, no or maybe. Answer:",
    "Please answer the following question about this article:\n\n{passage}\n\nThe question is: {question}?",
    "Use the following to answer the question: {passage}\n\n{question}? Give a short answer.",
    "{passage}\nIs it true, false or neither that {question}?",
    'Suppose it\'s true that {passage} Then, is "{question}" always, sometimes, or never true?',
    '{passage} Using only the above description and what you know about the world, is "{question}" definitely correct?',
    "Generate a title for this article.\n\n{passage}\n\nTitle:",
    "What is the sentiment of this review: positive or negative?\n\n{passage}",
    "{passage}\n\n===\n\nWrite a summary of the text above in one sentence, with the words: {question}.",
    "Summarize: {passage}",
    '{passage}\nThe question is whether "{question}". Take this text as given and say what follows from it.',
    "Article: {passage}\n\nExtract the answer to the following question from the article: {question}?",
    "Can you tell me, given the context: {passage} whether {question}? Can, cannot or unclear.",
    'Assume that the following is true. {passage} Therefore, "{question}"? Yes, no, or maybe?',
    "You are considering whether to watch this. Here is what was written about it: {passage} Would you? {question}.",
    "{passage}\n\nWhich topic is this text about: world, sport, business or science? {question}.",
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", type=int)
    parser.add_argument("output", type=Path)
    parser.add_argument("--seed", type=int, default=123)
    options = parser.parse_args()
    with options.output.open("w", encoding="utf-8") as file:
        for row in make_rows(options.rows, options.seed):
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def make_rows(count: int, seed: int) -> Iterator[dict[str, Any]]:
    """Yield the rows, those of a record in different places of the file, as collections mix their tasks."""
    random = np.random.default_rng(seed)
    words = vocabulary(random)
    chances = 1 / np.arange(10, WORDS + 10)
    cumulative = np.cumsum(chances / chances.sum())

    def text(length: int) -> str:
        return " ".join(words[np.searchsorted(cumulative, random.random(length))])

    rows: list[dict[str, Any]] = []
    while len(rows) < count:
        passage = text(int(np.clip(np.exp(random.normal(4.4, 0.8)), 10, LONGEST))).capitalize() + "."
        question, answer = text(2 + int(random.poisson(8))), text(1 + int(random.poisson(6)))
        wordings = random.choice(len(TEMPLATES), size=1 + int(random.integers(MOST_WORDINGS)), replace=False)
        for wording in wordings.tolist():
            instruction = TEMPLATES[wording].format(passage=passage, question=question)
            rows.append({"instruction": instruction, "input": "", "output": answer, "category": f"task {wording}"})
    for index in random.permutation(len(rows))[:count].tolist():
        yield rows[index]


if __name__ == "__main__":
    main()
