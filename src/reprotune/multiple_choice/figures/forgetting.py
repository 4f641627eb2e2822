"""How well both models predict plain text that neither was trained on: what fine-tuning forgot, in bits per byte."""

import math
from collections.abc import Sequence
from typing import Any

from reprotune.artifacts import MODELS
from reprotune.multiple_choice.figures.measured import Measured, TextLoss
from reprotune.statistics.paired import BETTER, WORSE, PairedTest
from reprotune.statistics.ratios import paired_ratio, ratio_estimate

SEED = 123
"""For the permutation test, so that a second run gives the same numbers."""

FORGOT, IMPROVED = "forgot", "improved"
WORDS = {WORSE: FORGOT, BETTER: IMPROVED}
"""Verdict of `statistics.paired` -> what it means of a loss on plain text; all others stay as they are."""


def retention_figures(measured: Measured) -> dict[str, Any]:
    """Return the loss of both models and the difference; empty where there is no text."""
    if not measured.texts["base"]:
        return {}
    test = compared(measured.texts["base"], measured.texts["finetuned"])
    return {
        **{model: _model_figures(measured.texts[model]) for model in MODELS},
        "difference": {
            "bits_per_byte": test.difference,
            "stderr": test.stderr,
            "stderr_clustered": test.stderr_clustered,
            "ci95_low": test.ci95_low,
            "ci95_high": test.ci95_high,
            "n": test.n,
            "p_value": test.p_value,
            "smallest_detectable": test.smallest_detectable,
            "verdict": WORDS.get(test.verdict, test.verdict),
        },
    }


def compared(before: Sequence[TextLoss], after: Sequence[TextLoss]) -> PairedTest:
    """Compare the losses on the same documents, given in the same order; a lower one is better."""
    pairs = list(zip(_bits(before), _bits(after), strict=True))
    return paired_ratio(pairs, [text.bytes for text in before], [text.cluster for text in before], SEED)


def _model_figures(texts: Sequence[TextLoss]) -> dict[str, Any]:
    estimate = ratio_estimate(_bits(texts), [text.bytes for text in texts], [text.cluster for text in texts])
    return {
        "bits_per_byte": estimate.score,
        "stderr": estimate.stderr,
        "stderr_clustered": estimate.stderr_clustered,
        "ci95_low": estimate.ci95_low,
        "ci95_high": estimate.ci95_high,
        "n": estimate.n,
    }


def _bits(texts: Sequence[TextLoss]) -> list[float]:
    return [text.nats / math.log(2) for text in texts]
