"""A row as training sees it: which tokens are only read, and which are learned."""

from rich.console import Console
from rich.text import Text

from reprotune.dataset.collate import TokenRows
from reprotune.dataset.tokenizers.encoding import Tokenizer
from reprotune.untrusted import visible

READ_STYLE = "dim"
LEARNED_STYLES = ("bold green", "bold cyan")
"""Learned tokens alternate between two colours, so that their borders show."""


def masked_row(rows: TokenRows, index: int, mask_instruction: bool, tokenizer: Tokenizer) -> Text:
    """Return row `index` as coloured text: dim tokens are context, coloured ones are targets of the loss."""
    text = Text()
    ids = rows.row(index)
    learned = rows.learned_in(index, mask_instruction)
    for place, token in enumerate(ids):
        style = LEARNED_STYLES[place % 2] if learned[place] else READ_STYLE
        text.append(visible(tokenizer.decode([int(token)])), style=style)
    return text


def print_masked_row(rows: TokenRows, index: int, mask_instruction: bool, tokenizer: Tokenizer) -> None:
    """Show the row on standard error, between a legend and a count."""
    learned = int(rows.trained_counts(mask_instruction)[index])
    console = Console(stderr=True, highlight=False)
    console.print(f"finetune: training row {index}: {learned} of {len(rows.row(index))} tokens are learned (coloured):")
    console.print(masked_row(rows, index, mask_instruction, tokenizer))
