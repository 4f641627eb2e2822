"""Section `judge`."""

from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from reprotune.params.schema import MOST_COUNT, Location, Section, Seed, Temperature

OPPONENTS = ("base", "reference")
OUTPUT_ENDINGS = (".json", ".jsonl", ".parquet")


class JudgeParams(Section):
    """How answers are scored."""

    backend: Literal["offline", "ollama", "openai"]
    """`offline`: statistical scorers; `ollama`: its native API; `openai`: any OpenAI-compatible endpoint.
    The address of the service and its key come from the environment."""
    model: str
    """Name of the judge model, as the service knows it; no effect with `offline`."""
    when_other_model: Literal["fail", "warn"]
    """What to do when the service says that it asked another model than `model` (some serve whatever they have loaded):
    `fail`, or `warn` and record what was served. Dates, tags and owners in names make no other model."""
    rubric: Location
    """`chapter`: the book chapter's one-line prompt; `reference`: an anchored rubric, reasoning before the score; or
    the path of your own (ending in .jinja), with the fields instruction, input, reference, response and fence."""
    temperature: Temperature
    """Sampling temperature of the judge."""
    seed: Seed
    """Seed sent to the judge and used by resampling statistics."""
    max_tokens: int = Field(ge=1, le=MOST_COUNT)
    """Longest reply of the judge, in tokens."""
    repeats: int = Field(ge=1, le=1000)
    """How often each question is asked, each time with a different seed; the score is the mean of the replies' scores
    and their spread is reported, which needs a temperature above 0. No effect with `offline`."""
    expected_score: bool
    """Weight the possible scores by the judge's own token probabilities, if the service returns them and a score is
    one token; otherwise the written score counts. No effect with `offline`."""
    mapping: Location | None
    """Path of a mapping from `reprotune calibrate --fit`, which is applied to the scores; null: none."""
    pairwise: bool
    """Also compare the fine-tuned answers side by side with those that `against` names; a judge sees both orders, which
    takes two more calls per row."""
    against: Location = "base"
    """Whose answers the fine-tuned ones are compared with: `base`; `reference`, which needs a judge; or the path of a
    file of outputs (.json or .jsonl, as AlpacaEval's `model_outputs.json`, or .parquet as of the stage `generate`).
    `reprotune opponent REVISION` makes one of another revision."""
    canaries: int = Field(ge=0, le=MOST_COUNT)
    """Test rows whose known good and bad answers are scored too, to show what the scores are worth; 0: none."""
    min_coverage: float = Field(ge=0, le=1)
    """Fail (keeping every reply) when a smaller share of the answers, or of the pairs, has a score."""
    min_canary_pass: float = Field(ge=0, le=1)
    """Fail (keeping every reply) when clearly less of any kind of canary is scored as expected: the whole 95 % interval
    of the share lies below this. No effect with `offline`, whose limits are known and shown."""

    @property
    def files(self) -> dict[str, Path]:
        """The files that params name, by key."""
        named = {
            "mapping": self.mapping,
            "rubric": self.rubric if self.rubric.endswith(".jinja") else None,
            "against": None if self.against in OPPONENTS else self.against,
        }
        return {key: Path(name).expanduser() for key, name in named.items() if name is not None}

    @field_validator("rubric")
    @classmethod
    def _rubric_exists(cls, rubric: str) -> str:
        if rubric not in ("chapter", "reference") and not rubric.endswith(".jinja"):
            raise PydanticCustomError("rubric", "it should be chapter, reference or a path that ends in .jinja")
        return rubric

    @field_validator("against")
    @classmethod
    def _opponent_is_known(cls, against: str, info: ValidationInfo) -> str:
        if against not in OPPONENTS and not against.endswith(OUTPUT_ENDINGS):
            raise PydanticCustomError(
                "against",
                "it should be base, reference or a path that ends in .json, .jsonl or .parquet (of another revision, "
                "`reprotune opponent` makes such a file)",
            )
        if against == "reference" and info.data.get("pairwise") and info.data.get("backend") == "offline":
            raise PydanticCustomError(
                "against_reference",
                "with judge.backend: offline it should be base or a file, since the composite measures likeness to the "
                "reference, which nothing can then beat",
            )
        return against

    @field_validator("repeats")
    @classmethod
    def _repeats_differ(cls, repeats: int, info: ValidationInfo) -> int:
        """Refuse repeats that cost calls and show no spread: at temperature 0 the seed has no effect."""
        if repeats > 1 and info.data.get("temperature") == 0 and info.data.get("backend") != "offline":
            raise PydanticCustomError(
                "repeats_alike",
                "it should be 1 with judge.temperature: 0, where a judge gives the same reply each time (raise the "
                "temperature to measure the spread)",
            )
        return repeats
