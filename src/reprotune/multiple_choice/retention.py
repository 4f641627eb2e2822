"""How well a model predicts plain text: the sum of nats of each document, from which loss per byte derives.

A document's first token is predicted from the token that begins a text (end-of-text where the model has no other). One
that is longer than the context is scored in windows, as lm-eval's `loglikelihood_rolling` does: every token counts
once, and a window reads what comes before its own tokens, as far as there is room.

    context of 4        ^ a b c d e f
    first window        ^ a b c          predicts a b c d
    last window             b c d e      predicts e f
"""

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from reprotune.console import progress_bar
from reprotune.dataset.tokenizers.encoding import Ids, Tokenizer
from reprotune.errors import UserError
from reprotune.files import read_text
from reprotune.model.network import Network
from reprotune.multiple_choice.branches import Branching
from reprotune.multiple_choice.framing import first_token
from reprotune.multiple_choice.likelihood import log_probabilities

REMEDY = "correct benchmark.text: embedded, the path of a text file with one document a line, or null"


def read_documents(path: Path) -> list[str]:
    """Return the lines of a text file that are not blank; raises `UserError` where it cannot be read or has none."""
    documents = [line.removesuffix("\r") for line in read_text(path, REMEDY).split("\n")]
    documents = [document for document in documents if document.strip()]
    if not documents:
        raise UserError(f"{path} holds no text: {REMEDY}")
    return documents


def score_documents(model: Network, tokenizer: Tokenizer, documents: Sequence[str], name: str) -> list[dict[str, Any]]:
    """Return a `DOCUMENTS` row for each document; `name` is what the progress bar says."""
    first, limit = first_token(tokenizer), model.config.n_positions
    encoded = tokenizer.encode_batch(documents)
    rows = [list(windows(first, tokens, limit)) for tokens in encoded]
    every = [row for some in rows for row in some]
    with progress_bar(name, len(every)) as bar:
        scores = iter(log_probabilities(model, every, on_scored=bar.update))
    seen: Counter[str] = Counter()
    made = []
    for document, tokens, some in zip(documents, encoded, rows, strict=True):
        content = document.encode("utf-8")
        digest = hashlib.sha256(content).hexdigest()[:16]
        seen[digest] += 1
        made.append(
            {
                "id": digest if seen[digest] == 1 else f"{digest}-{seen[digest]}",
                "bytes": len(content),
                "tokens": len(tokens),
                "nats": -sum(next(scores)[0] for _ in some),
            }
        )
    return made


def windows(first: int, tokens: Ids, limit: int) -> Iterator[Branching]:
    """Cut a document into contexts and the tokens that are predicted after each, at most `limit` + 1 together."""
    for start in range(0, len(tokens), limit):
        end = min(start + limit, len(tokens))
        if start == 0:
            yield Branching([first], [tokens[:end]])
        else:
            yield Branching(tokens[end - limit - 1 : start], [tokens[start:end]])
