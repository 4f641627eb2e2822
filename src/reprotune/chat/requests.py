"""What may be asked through OpenAI's interface, and how a fault is told in its shape.

What would change an answer and cannot be done is refused, not ignored: `n` above 1, tools, penalties, response formats,
names that nobody knows.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from reprotune.errors import UserError
from reprotune.files import parsed_json
from reprotune.params.schema import LEAST_TEMPERATURE

Request = TypeVar("Request", bound=BaseModel)

MOST_MESSAGES = 1000
MOST_PROMPTS = 128
MOST_STOPS, MOST_STOP_CHARS = 16, 1000
MOST_ALTERNATIVES = 20
MOST_TOKENS = 10**9
NEUTRAL = {
    "n": 1,
    "best_of": 1,
    "frequency_penalty": 0,
    "presence_penalty": 0,
    "logit_bias": {},
    "tools": [],
    "tool_choice": "none",
    "functions": [],
    "response_format": {"type": "text"},
    "suffix": "",
    "modalities": ["text"],
}
"""What OpenAI's interface has and this server has not -> the value that asks for nothing."""
WITHOUT_EFFECT = ("user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key")
"""What changes no answer."""


class ApiError(Exception):
    """A fault as it is told to a client."""

    def __init__(
        self,
        status: int,
        message: str,
        code: str | None = None,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.headers = dict(headers or {})
        kinds = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
        kind = kinds.get(status, "server_error" if status >= 500 else "invalid_request_error")
        self.body = {"error": {"message": message, "type": kind, "param": param, "code": code}}


def _usable_temperature(value: float) -> float:
    return 0.0 if value < LEAST_TEMPERATURE else value


def _usable_stops(stops: str | list[str]) -> list[str]:
    found = [stops] if isinstance(stops, str) else stops
    if len(found) > MOST_STOPS or any(not 0 < len(stop) <= MOST_STOP_CHARS for stop in found):
        raise ValueError(f"it should be at most {MOST_STOPS} texts of 1 to {MOST_STOP_CHARS} characters")
    return found


class StreamOptions(BaseModel):
    """Options of a stream."""

    include_usage: bool = False
    include_obfuscation: bool = False


class DecodingRequest(BaseModel):
    """What both kinds of request have; null is as good as absent."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    model: str
    max_tokens: Annotated[int, Field(ge=0, le=MOST_TOKENS)] | None = None
    temperature: Annotated[float, Field(ge=0, le=1000), AfterValidator(_usable_temperature)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=1, le=MOST_TOKENS)] | None = None
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    stop: Annotated[str | list[str], AfterValidator(_usable_stops)] = Field(default_factory=list)
    stream: bool = False
    stream_options: StreamOptions | None = None

    @model_validator(mode="before")
    @classmethod
    def _neutral(cls, value: Any) -> Any:
        """Drop what asks for nothing, and refuse by name what asks for more than there is."""
        if not isinstance(value, dict):
            return value
        for name, neutral in NEUTRAL.items():
            if value.get(name, neutral) not in (neutral, None):
                raise ApiError(400, f"{name} is not supported here: leave it out", "unsupported_parameter", name)
        return {
            name: given
            for name, given in value.items()
            if given is not None and name not in NEUTRAL and name not in WITHOUT_EFFECT
        }


class TextPart(BaseModel):
    """A part of a message."""

    model_config = ConfigDict(strict=True)

    type: Literal["text"]
    text: str


class Message(BaseModel):
    """A turn of a conversation."""

    model_config = ConfigDict(extra="forbid", strict=True)

    role: str
    content: str | list[TextPart]
    name: str | None = None
    refusal: str | None = None

    @property
    def text(self) -> str:
        """All that the message says."""
        return self.content if isinstance(self.content, str) else "".join(part.text for part in self.content)

    @property
    def turn(self) -> dict[str, str]:
        """The message as templates take it."""
        return {"role": "system" if self.role == "developer" else self.role, "content": self.text}


class ChatRequest(DecodingRequest):
    """A body of `/v1/chat/completions`."""

    messages: Annotated[list[Message], Field(min_length=1, max_length=MOST_MESSAGES)]
    max_completion_tokens: Annotated[int, Field(ge=1, le=MOST_TOKENS)] | None = None
    logprobs: bool = False
    top_logprobs: Annotated[int, Field(ge=0, le=MOST_ALTERNATIVES)] = 0

    @property
    def scores(self) -> int | None:
        """How many likeliest tokens are told with each token; None: no scores."""
        return self.top_logprobs if self.logprobs else None


class CompletionRequest(DecodingRequest):
    """A body of `/v1/completions`; the prompt is text or token ids, or several of either."""

    prompt: str | list[str] | list[int] | list[list[int]]
    echo: bool = False
    logprobs: Annotated[int, Field(ge=0, le=MOST_ALTERNATIVES)] | None = None

    @property
    def prompts(self) -> list[str | list[int]]:
        """Each prompt; raises `ApiError` where there are none or too many."""
        given = self.prompt
        found: list[Any] = [given] if isinstance(given, str) or (given and isinstance(given[0], int)) else given
        if not 0 < len(found) <= MOST_PROMPTS:
            raise ApiError(400, f"send 1 to {MOST_PROMPTS} prompts, not {len(found)}", param="prompt")
        return found

    @model_validator(mode="after")
    def _silent(self) -> Self:
        if self.max_tokens == 0 and not self.echo:
            raise ApiError(400, "max_tokens 0 without echo leaves nothing to answer: raise it", param="max_tokens")
        return self


def parsed(kind: type[Request], body: bytes) -> Request:
    """Return a request from its body; raises `ApiError` that names the first fault."""
    try:
        return kind.model_validate(parsed_json(body.decode("utf-8"), "the body", "send one JSON object"))
    except UnicodeDecodeError as error:
        raise ApiError(400, "the body is not UTF-8: send JSON in UTF-8") from error
    except UserError as error:
        raise ApiError(400, str(error)) from error
    except ValidationError as error:
        fault = error.errors()[0]
        place = ".".join(str(part) for part in fault["loc"] if not _is_kind(part))
        said = "is not known here" if fault["type"] == "extra_forbidden" else f"cannot be used ({fault['msg']})"
        raise ApiError(400, f"{place or 'the body'} {said}: correct it", param=place or None) from error


def _is_kind(part: Any) -> bool:
    """Tell whether a part of a fault's place names one of several types, not a key."""
    return isinstance(part, str) and ("[" in part or part in ("str", "TextPart"))
