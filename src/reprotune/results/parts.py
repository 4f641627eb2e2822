"""The types of which documents consist."""

from typing import Annotated, ClassVar, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from reprotune.results.words import VERDICTS


def _known_verdict(word: str) -> str:
    if word not in VERDICTS:
        raise PydanticCustomError("verdict", f"it should be one of {', '.join(VERDICTS)}")
    return word


Count = Annotated[int, Field(ge=0)]
Positive = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Points = Annotated[float, Field(ge=0, le=100)]
Change = Annotated[float, Field(ge=-100, le=100)]
Correlation = Annotated[float, Field(ge=-1.000001, le=1.000001)]
Verdict = Annotated[str, AfterValidator(_known_verdict)]


class Part(BaseModel):
    """An object in a document."""

    model_config = ConfigDict(extra="ignore", strict=True, allow_inf_nan=False)
    together: ClassVar[tuple[tuple[str, ...], ...]] = ()
    """Groups of keys of which each is null or none is."""

    @model_validator(mode="after")
    def _all_or_none(self) -> Self:
        for keys in self.together:
            if len({getattr(self, key) is None for key in keys}) > 1:
                raise PydanticCustomError("together", f"{', '.join(keys)} should all be there or all be null")
        return self
