"""What the JSON files of a run hold: read, checked in type and range, and refused in one sentence.

The stages write these files; but a merge can leave its marks in them, an editor its half-done work, and another
version its own keys. Keys that are not named here are left alone. The checked documents stay plain dictionaries, since
pages and comparisons also show what is not named.
"""

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from reprotune.errors import UserError
from reprotune.files import read_json
from reprotune.params.schema import wrong_value
from reprotune.results.parts import Change, Correlation, Count, Part, Points, Positive, Share, Verdict


class ModelScores(Part):
    """One model's answers."""

    together = (("ci95_low", "ci95_high"),)

    score: Points | None
    n: Count
    stderr: Positive | None
    stderr_clustered: Positive | None
    ci95_low: float | None
    ci95_high: float | None
    coverage: Share
    unscored: Count
    status: dict[str, Count]
    exact_match: Share
    chrf: Positive
    rouge_l: Positive
    token_f1: Positive
    repetition: Share
    length_ratio: Positive


class Difference(Part):
    """Fine-tuned minus base."""

    score: Change | None
    n: Count
    stderr: Positive | None
    stderr_clustered: Positive | None
    ci95_low: float | None
    ci95_high: float | None
    p_value: Share | None
    smallest_detectable: Positive | None
    verdict: Verdict


class Category(Part):
    """The answers of one category."""

    together = (("finetuned_low", "finetuned_high"),)

    n: Count
    base: Points | None
    base_low: Points | None
    base_high: Points | None
    base_exact: Share | None
    finetuned: Points | None
    finetuned_low: Points | None
    finetuned_high: Points | None
    finetuned_exact: Share | None
    verdict: Verdict


class Interval(Part):
    """The 95 % interval of a share."""

    low: Share
    high: Share
    n: Count


class Health(Part):
    """What was measured about the judge."""

    canaries: Share | None
    canaries_reference: Share | None
    canaries_foreign: Share | None
    canaries_pair: Share | None
    canaries_empty: Share | None
    canaries_verbose: Share | None
    canaries_injection: Share | None
    canary_intervals: dict[str, Interval] = Field(default={})
    weighted_share: Share | None
    probability_mass: Positive | None
    repeat_sd: Positive | None
    length_correlation_base: Correlation | None
    length_correlation_finetuned: Correlation | None


class Pairs(Part):
    """How pairs of answers compare."""

    together = (
        ("win_rate", "ci95_low", "ci95_high"),
        ("length_adjusted_win_rate", "length_adjusted_low", "length_adjusted_high"),
    )

    against: str = "base"
    unanswered: Count = 0
    unmatched: Count = 0
    win_rate: Share | None
    ci95_low: Share | None
    ci95_high: Share | None
    length_adjusted_win_rate: Share | None
    length_adjusted_low: Share | None
    length_adjusted_high: Share | None
    length_adjusted_unknown: str | None
    longer_share: Share | None
    mean_length_difference: float | None
    n: Count
    wins: Count
    losses: Count
    ties: Count
    identical: Count
    unscored: Count
    coverage: Share
    position_bias: Share | None
    first_share: Share | None
    verdict: Verdict


class Judge(Part):
    """Who judged, and how."""

    backend: str
    model: str
    digest: str | None
    address: str
    rubric: str
    temperature: Positive | None
    repeats: Count
    expected_score: bool


class Mapping(Part):
    """The mapping of the scores."""

    file: str
    kind: str


class Complying(Part):
    """How many answers of one model comply with their checks."""

    together = (("rows_strict_low", "rows_strict_high"),)

    rows_strict: Share
    rows_strict_low: Share | None = None
    rows_strict_high: Share | None = None
    rows_loose: Share
    checks_strict: Share
    checks_loose: Share


class Checks(Part):
    """Checks that need no judge, and what trivial answers would get."""

    n: Count
    n_checks: Count
    base: Complying
    finetuned: Complying
    echo: Complying
    empty: Complying


class Judged(Part):
    """data/judgements/metrics.json"""

    method: str
    base: ModelScores
    finetuned: ModelScores
    difference: Difference
    categories: dict[str, Category]
    health: Health
    pairwise: Pairs | None
    checks: Checks | None = None
    judge: Judge | None = None
    mapping: Mapping | None = None


class Validation(Part):
    """A validation of the model."""

    validation_loss: float


class Best(Validation):
    """The validation with the lowest loss."""

    step: Count


class Final(Validation):
    """The end of the training."""

    train_loss: float


class Training(Part):
    """data/model/metrics.json"""

    precision: Literal["fp32", "bf16"]
    steps: Count
    epochs: Positive
    stopped_early: bool
    trained_parameters: Count
    tokens_seen: Count
    trained_tokens_seen: Count
    padding_share: float
    initial: Validation
    best: Best
    final: Final


class Trained(Part):
    """When and where the model was trained."""

    at: str | None = None
    system: str | None = None
    commit: str | None = None
    uncommitted: list[str] | None = None


class Speed(Part):
    """data/speed/finetune.json, and without `trained` metrics/speed.json"""

    seconds: Positive
    tokens_per_second: Positive
    trained_tokens_per_second: Positive
    peak_memory_mb: Positive
    device: str
    made_with: dict[str, str] = Field(default={})
    trained: Trained = Trained()


class SplitRows(Part):
    """A number for each split."""

    train: Count
    validation: Count
    test: Count


class RawSummary(Part):
    """data/raw/summary.json"""

    rows: Count
    records: Count
    rejected: Count
    reasons: dict[str, Count]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    unused_columns: list[str] = Field(default=[])


class SplitSummary(Part):
    """data/split/summary.json"""

    rows: SplitRows
    near_duplicate_groups: Count = 0
    rows_in_groups: Count = 0
    rows_moved: Count = 0


class FormattedSummary(Part):
    """data/formatted/summary.json"""

    template: str
    response_header: Literal["in_prompt", "in_response"]
    rows: SplitRows
    rows_with_marker: dict[str, Count]


class TokenCounts(Part):
    """The rows of one split as tokens."""

    rows: Count
    tokens: Count
    trained_token_share: Share
    length: dict[str, Count]
    truncated_prompts: Count = 0
    truncated_responses: Count = 0
    dropped: Count = 0
    padding_share: dict[str, float]


class TokensSummary(Part):
    """data/tokens/summary.json"""

    train: TokenCounts
    validation: TokenCounts
    test: TokenCounts


SUMMARIES: dict[str, type[Part]] = {
    "raw": RawSummary,
    "split": SplitSummary,
    "formatted": FormattedSummary,
    "tokens": TokensSummary,
}
"""Stage -> what its summary.json holds."""


class PublishedScore(Part):
    """A mean in metrics/, where what is null is left out."""

    score: Change | None = None
    n: Count | None = None
    stderr: Positive | None = None
    stderr_clustered: Positive | None = None
    ci95_low: float | None = None
    ci95_high: float | None = None


class PublishedDifference(PublishedScore):
    """Fine-tuned minus base."""

    verdict: Verdict


class PublishedPairs(Part):
    """How pairs of answers compare, in metrics/scores.json."""

    together = (("ci95_low", "ci95_high"),)

    against: str = "base"
    win_rate: Share | None = None
    ci95_low: Share | None = None
    ci95_high: Share | None = None


class PublishedScores(Part):
    """metrics/scores.json"""

    method: str
    base: PublishedScore
    finetuned: PublishedScore
    difference: PublishedDifference
    pairwise: PublishedPairs = PublishedPairs()
    checks: Checks | None = None


class PublishedTraining(Part):
    """metrics/training.json"""

    initial: Validation
    best: Best


class StageTime(Part):
    """.reprotune/timings/STAGE.json"""

    stage: str
    seconds: Annotated[float, Field(ge=0, le=1e12)]


def read_checked(path: Path, kind: type[Part], remedy: str, whole: bool = True) -> dict[str, Any]:
    """Read a JSON file of this kind; raises `UserError` that names the file and the key, and ends in `remedy`.

    Without `whole`, keys may be missing, as they are in runs of earlier versions.
    """
    return checked(read_json(path, remedy), kind, str(path), remedy, whole)


def checked(value: Any, kind: type[Part], where: str, remedy: str, whole: bool = True) -> dict[str, Any]:
    """Return a parsed document; raises `UserError` as `read_checked` does."""
    if not isinstance(value, dict):
        raise UserError(f"{where} should be a JSON object: {remedy}")
    try:
        kind.model_validate(value)
    except ValidationError as error:
        for fault in error.errors():
            if whole or fault["type"] != "missing":
                raise UserError(f"{where}: {_sentence(dict(fault))}: {remedy}") from error
    return value


def _sentence(fault: dict[str, Any]) -> str:
    keys = (str(part) for part in fault["loc"])
    location = ".".join(key if re.fullmatch(r"[\w-]{1,60}", key) else repr(key[:60]) for key in keys)
    if fault["type"] == "missing":
        return f"{location} is missing"
    if fault["type"] == "together":
        return f"{location}: {fault['msg']}"
    return f"{location} should be an object" if fault["type"] == "model_type" else f"{location} {wrong_value(fault)}"
