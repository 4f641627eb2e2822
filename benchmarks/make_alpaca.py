"""Write a large made-up instruction dataset, Alpaca-like in its lengths: `make_alpaca.py ROWS OUTPUT.jsonl [--seed N]`.

Words are drawn by Zipf's law from 50,000 made-up ones, since caches and filters behave otherwise on few words.
Instructions have about 10 words, two rows in five an input, answers a log-normal number of words (median 35, at most
600).
Of all rows 2 % repeat an earlier task word for word, 3 % with one word changed, 1 % have accents and emoji, 0.2 % are
unusable (no answer, or a key missing). The same seed gives the same bytes; memory does not grow with the rows.
"""

import argparse
import json
from collections import deque
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

Row = dict[str, Any]

WORDS = 50_000
BLOCK = 10_000
ASKING = ["Describe", "Explain", "List", "Rewrite", "Compare", "Name", "Summarize", "Translate", "Classify", "Suggest"]
ACCENTED = ["café", "naïve", "Zürich", "señor", "garçon", "łódź", "日本語", "привет", "🙂", "…"]
ONSETS = [*"bcdfghjklmnprstv", "br", "ch", "gr", "pl", "st", "tr"]
VOWELS = ["a", "e", "i", "o", "u", "ai", "ea", "oo"]
CODAS = ["", "n", "r", "s", "t", "l", "nd", "st", "m", "ng"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", type=int)
    parser.add_argument("output", type=Path)
    parser.add_argument("--seed", type=int, default=123)
    options = parser.parse_args()
    with options.output.open("w", encoding="utf-8") as file:
        for row in make_rows(options.rows, options.seed):
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def make_rows(count: int, seed: int) -> Iterator[Row]:
    """Yield the rows one after another."""
    random = np.random.default_rng(seed)
    words = vocabulary(random)
    chances = 1 / np.arange(10, WORDS + 10)
    cumulative = np.cumsum(chances / chances.sum())
    recent: deque[Row] = deque(maxlen=5000)
    for start in range(0, count, BLOCK):
        size = min(BLOCK, count - start)
        asked = 3 + random.poisson(6, size)
        given = np.where(random.random(size) < 0.4, 3 + random.poisson(12, size), 0)
        answered = np.clip(np.exp(random.normal(3.55, 0.9, size)).astype(int), 1, 600)
        drawn = words[np.searchsorted(cumulative, random.random(int((asked + given + answered).sum())))]
        kinds = random.random(size)
        used = 0
        for index in range(size):
            ends = np.cumsum([used, asked[index], given[index], answered[index]])
            instruction, more, output = (" ".join(drawn[a:b]) for a, b in pairwise(ends))
            used = int(ends[-1])
            verb = ASKING[int(random.integers(len(ASKING)))]
            row = {"instruction": f"{verb} {instruction}.", "input": more, "output": output.capitalize() + "."}
            yield varied(row, kinds[index], recent, random)
            recent.append(row)


def varied(row: dict[str, Any], kind: float, recent: deque[Row], random: np.random.Generator) -> dict[str, Any]:
    """Make some rows repetitions, near-repetitions, accented or unusable, as `kind` in [0, 1) says."""
    if kind < 0.05 and recent:
        earlier = recent[int(random.integers(len(recent)))]
        task = {name: earlier[name] for name in ("instruction", "input")}
        if kind >= 0.02:
            spoken = task["instruction"].split()
            spoken[int(random.integers(1, len(spoken)))] = "other"
            task["instruction"] = " ".join(spoken)
        return row | task
    if kind < 0.06:
        return row | {"output": f"{row['output']} {ACCENTED[int(random.integers(len(ACCENTED)))]}"}
    if kind < 0.061:
        return row | {"output": " "}
    if kind < 0.062:
        return {"instruction": row["instruction"]}
    return row


def vocabulary(random: np.random.Generator) -> np.ndarray:
    """Return distinct made-up words, the common ones short; [WORDS] of str."""
    found: dict[str, None] = {}
    while len(found) < WORDS:
        syllables = 1 + min(3, len(found) // 1000)
        parts = [sounds[int(random.integers(len(sounds)))] for sounds in (ONSETS, VOWELS, CODAS) * syllables]
        found["".join(parts)] = None
    return np.array(list(found), dtype=object)


if __name__ == "__main__":
    main()
