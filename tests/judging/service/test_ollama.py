"""What only the client for Ollama does."""

from collections.abc import Callable
from typing import Any

import pytest

from reprotune.errors import UserError
from reprotune.judging.questions.prompts import Item, question
from reprotune.judging.service.collect import Client
from reprotune.judging.service.ollama import OllamaClient, _base_url
from reprotune.judging.service.transport import Deadlines, RequestError

ITEM = Item("Name the capital of Norway.", "", "Oslo.", "Bergen.")


@pytest.fixture
def ollama(service: Any, judge_params: Callable[..., Any], hasty: Deadlines) -> Any:
    client = OllamaClient(judge_params(), hasty)
    client.prepare([question("reference", ITEM)])
    yield client
    client.close()


def test_payload(ollama: Client, service: Any, steps: Any) -> None:
    asked = question("reference", ITEM)
    ollama.ask(asked)
    (payload,) = service.calls
    size = payload["options"].pop("num_ctx")
    assert payload["options"] == {"seed": 123, "temperature": 0.0, "num_predict": 256}  # nested, or it is ignored
    assert size & (size - 1) == 0 and size >= len(asked.messages[0]["content"]) // 2 + 256
    assert (payload["truncate"], payload["stream"], payload["format"]) == (False, False, asked.schema)
    assert [warm_up["options"]["num_ctx"] for warm_up in service.warm_ups] == [size]
    assert ollama.judge["digest"] == steps.digest


def test_a_prompt_that_was_cut_is_refused(ollama: Client, service: Any, steps: Any) -> None:
    for tokens in (20, 1 << 20):
        service.steps = [steps.reply(steps.good, prompt_tokens=tokens)]
        with pytest.raises(RequestError, match="cut the prompt"):
            ollama.ask(question("reference", ITEM))


def test_without_the_model(service: Any, judge_params: Callable[..., Any]) -> None:
    with pytest.raises(UserError, match="`ollama pull mistral`"):
        OllamaClient(judge_params(model="mistral"))


def test_the_chapter_rubric_has_no_schema(ollama: Client, service: Any) -> None:
    ollama.ask(question("chapter", ITEM))
    assert "format" not in service.calls[0]


@pytest.mark.parametrize("host", ["127.0.0.1", "http://127.0.0.1:11434/", "[::1]", "judge.example:80"])
def test_scheme_and_port_of_the_host_are_optional(host: str) -> None:
    expected = {"127.0.0.1": "http://127.0.0.1:11434", "[::1]": "http://[::1]:11434"}
    assert _base_url(host) == expected.get(host, host if "://" in host else f"http://{host}")
