"""The page of `reprotune chat`, and what only it asks: models, prompts, blind pairs and votes on them."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from reprotune.chat.api import Service, chat_prompt, endpoint, read_body
from reprotune.chat.blind import Blind, VoteRequest
from reprotune.chat.requests import ApiError, ChatRequest, parsed
from reprotune.pages.html import FOLDER as SHARED
from reprotune.pages.html import STYLE

FOLDER = Path(__file__).parent / "page"
FILES = {
    "/": ("text/html", (FOLDER / "chat.html",)),
    "/chat.css": ("text/css", (SHARED / STYLE, FOLDER / "chat.css")),
    "/chat.js": ("text/javascript", (FOLDER / "chat.js",)),
}
"""Path -> its media type, and the files of this package that it consists of."""


def page_routes(service: Service) -> Sequence[Route]:
    """Return what the page consists of."""
    return [
        *(_file_route(path, kind, files) for path, (kind, files) in FILES.items()),
        Route("/chat/models", endpoint(service, _models), methods=["GET"]),
        Route("/chat/prompt", endpoint(service, _prompt), methods=["POST"]),
        Route("/chat/pair", endpoint(service, _pair), methods=["POST"]),
        Route("/chat/vote", endpoint(service, _vote), methods=["POST"]),
    ]


def _file_route(path: str, kind: str, files: Sequence[Path]) -> Route:
    content = "".join(file.read_text(encoding="utf-8") for file in files)

    async def send(request: Request) -> Response:
        return Response(content, media_type=kind)

    return Route(path, send, methods=["GET"])


async def _models(service: Service, request: Request) -> Response:
    """GET /chat/models: what the page can talk to, and the settings that it begins with."""
    models = [
        {
            "name": name,
            "template": model.prompts.template,
            "takes_turns": model.prompts.takes_turns,
            "input_joint": model.prompts.input_joint,
            "context": model.context,
        }
        for name, model in service.models.items()
    ]
    defaults = service.defaults
    begin = {"temperature": defaults.temperature, "top_p": defaults.top_p, "max_tokens": defaults.max_new_tokens}
    return JSONResponse({"models": models, "settings": begin, "votes": service.blind is not None})


async def _prompt(service: Service, request: Request) -> Response:
    """POST /chat/prompt with a body of /v1/chat/completions: the text that the model would read."""
    asked = parsed(ChatRequest, await read_body(request))
    prompt = await chat_prompt(service.model(asked.model), asked)
    return JSONResponse({"text": prompt.text, "tokens": len(prompt.ids)})


async def _pair(service: Service, request: Request) -> Response:
    """POST /chat/pair with {}: a blind pair, with a name for each side that tells nothing."""
    await read_body(request)
    pair = _blind(service).draw()
    return JSONResponse({"pair": pair.token, "sides": pair.sides})


async def _vote(service: Service, request: Request) -> Response:
    """POST /chat/vote: keep a vote, and tell whose answers they were."""
    vote = parsed(VoteRequest, await read_body(request))
    return JSONResponse({"models": await asyncio.to_thread(_blind(service).vote, vote)})


def _blind(service: Service) -> Blind:
    if service.blind is None:
        raise ApiError(404, "there are no votes here: start `reprotune chat` with two models where data/votes is")
    return service.blind
