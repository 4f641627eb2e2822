"""A row as training sees it: which tokens are only read, and which are learned."""

from rich.console import Console
from rich.text import Text

from reprotune.dataset.collate import TokenRows
from reprotune.dataset.tokenizers.gpt2 import END_OF_TEXT, decode
from reprotune.untrusted import visible

READ_STYLE = "dim"
LEARNED_STYLES = ("bold green", "bold cyan")
"""Learned tokens alternate between two colours, so that their borders show."""


def masked_row(rows: TokenRows, index: int, mask_instruction: bool) -> Text:
    """Return row `index` as coloured text: dim tokens are context, coloured ones are targets of the loss."""
    text = Text()
    ids = rows.row(index)
    first_learned = max(int(rows.prompt_lengths[index]), 1) if mask_instruction else 1
    for place, token in enumerate(ids):
        piece = "<|endoftext|>" if token == END_OF_TEXT else decode([int(token)])
        style = LEARNED_STYLES[place % 2] if place >= first_learned else READ_STYLE
        text.append(visible(piece), style=style)
    return text


def print_masked_row(rows: TokenRows, index: int, mask_instruction: bool) -> None:
    """Show the row on standard error, between a legend and a count."""
    learned = int(rows.trained_counts(mask_instruction)[index])
    console = Console(stderr=True, highlight=False)
    console.print(f"finetune: training row {index}: {learned} of {len(rows.row(index))} tokens are learned (coloured):")
    console.print(masked_row(rows, index, mask_instruction))
