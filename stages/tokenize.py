"""Turn formatted text into token ids (section `tokenize` of params.yaml)."""

from pathlib import Path

from reprotune.artifacts import SPLITS, replaced_directory, write_json
from reprotune.console import counted, note
from reprotune.dataset.tokenization import tokenize_file
from reprotune.dataset.tokenizers.load import load_tokenizer
from reprotune.params.sections.tokenize import TokenizeParams
from reprotune.pipeline.stage import run_stage

INPUT = Path("data/formatted")
BASE = Path("data/base")
OUTPUT = Path("data/tokens")


def main() -> None:
    """Tokenize every split and write what was kept, cut and dropped."""
    params = TokenizeParams.load("tokenize")
    tokenizer = load_tokenizer(BASE)
    summary = {}
    with replaced_directory(OUTPUT) as folder:
        for split in SPLITS:
            source, target = INPUT / f"{split}.parquet", folder / f"{split}.parquet"
            counts = tokenize_file(source, target, tokenizer, params.max_length, params.on_too_long)
            cut = [counted(counts[f"truncated_{part}s"], part) for part in ("prompt", "response")]
            summary[split] = counts
            note(
                f"tokenize: {split}: {counted(counts['rows'], 'row')}, {counted(counts['tokens'], 'token')}, "
                f"{counts['trained_token_share']:.0%} of them responses; "
                f"{' and '.join(cut)} cut, {counted(counts['dropped'], 'row')} dropped, "
                f"{counted(counts['seam_disagreements'], 'seam')} that joint encoding would merge"
            )
        write_json(folder / "summary.json", summary)


if __name__ == "__main__":
    run_stage("tokenize", main)
