"""Stage `encode`: build/text -> build/tokens/{train,held_out}.npy, each document followed by end-of-text."""

from itertools import chain
from pathlib import Path

import numpy as np

from reprotune.artifacts import replaced_directory
from reprotune.console import run_stage
from reprotune.dataset.tokenizers.gpt2 import encode_batch
from reprotune.dataset.tokenizers.gpt2_files import END_OF_TEXT

TEXT = Path("build/text")
TOKENS = Path("build/tokens")


def main() -> None:
    """Encode both texts."""
    with replaced_directory(TOKENS) as folder:
        for path in sorted(TEXT.glob("*.txt")):
            ids = encode_batch(path.read_text(encoding="utf-8").splitlines())
            tokens = np.fromiter(chain.from_iterable([*document, END_OF_TEXT] for document in ids), dtype=np.uint16)
            np.save(folder / f"{path.stem}.npy", tokens, allow_pickle=False)


if __name__ == "__main__":
    run_stage("encode", main)
