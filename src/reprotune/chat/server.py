"""The server: one process with the models, the endpoints of OpenAI's interface and, for `chat`, the page."""

import ipaddress
import os
import signal
import socket
import threading
import webbrowser
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import NamedTuple

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from reprotune.chat.api import Service, chat_completions, completions, endpoint, failed, list_models
from reprotune.chat.blind import blind_pairs
from reprotune.chat.engine import Engine
from reprotune.chat.guard import HEADER_BYTES, KEY_VARIABLE, Guard, checked_key
from reprotune.chat.models import open_model
from reprotune.chat.page import page_routes
from reprotune.chat.requests import ApiError
from reprotune.compute.device import keep_freed_memory, pick_compute
from reprotune.console import note
from reprotune.errors import UserError
from reprotune.params.sections.generate import GenerateParams

GRACE_SECONDS = 10
"""How long answers may go on after the server was told to stop."""
BACKLOG = 512


class Settings(NamedTuple):
    """How to serve."""

    models: Sequence[str]
    host: str
    port: int
    slots: int
    most_waiting: int
    seconds: float
    names: Collection[str]
    with_page: bool
    opens_browser: bool


def serve(settings: Settings) -> None:
    """Serve until Ctrl-C or SIGTERM; raises `UserError` where the models or the address cannot be had."""
    key = checked_key(os.environ.get(KEY_VARIABLE))
    names = list(dict.fromkeys(settings.models))
    with _listening(settings.host, settings.port) as listener:
        defaults = GenerateParams.load("generate")
        keep_freed_memory()
        compute = pick_compute(defaults.precision)
        models = {name: open_model(name, compute) for name in names}
        engine = Engine({name: model.network for name, model in models.items()}, settings.slots, settings.most_waiting)
        blind = blind_pairs(names) if settings.with_page else None
        service = Service(models, engine, defaults, settings.seconds, blind)
        _announce(settings, listener, names, key)
        try:
            _Server(application(service, [settings.host, *settings.names], key, settings.with_page)).run([listener])
        finally:
            engine.close()


def application(service: Service, names: Collection[str], key: str | None, with_page: bool) -> Starlette:
    """Return the ASGI application; `names` are the host names by which it may be called."""
    routes = [
        Route("/health", partial(_health, service), methods=["GET"]),
        Route("/v1/models", endpoint(service, list_models), methods=["GET"]),
        Route("/v1/models/{model:path}", endpoint(service, list_models), methods=["GET"]),
        Route("/v1/chat/completions", endpoint(service, chat_completions), methods=["POST"]),
        Route("/v1/completions", endpoint(service, completions), methods=["POST"]),
        *(page_routes(service) if with_page else ()),
    ]
    return Starlette(
        routes=routes,
        middleware=[Middleware(Guard, names=names, key=key)],
        exception_handlers={HTTPException: _no_such_place},
    )


async def _health(service: Service, request: Request) -> Response:
    load = {
        name: {"running": running, "waiting": waiting} for name, (running, waiting) in service.engine.load().items()
    }
    return JSONResponse({"status": "ok", "models": load})


async def _no_such_place(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    message = f"{request.method} {request.url.path[:100]} is not served here: see /v1/models, /v1/chat/completions"
    return failed(ApiError(status, message))


class _Server(uvicorn.Server):
    """Ends without an error when it is told to stop."""

    def __init__(self, app: Starlette) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http="h11",
                ws="none",
                lifespan="off",
                log_config=None,
                log_level="critical",
                access_log=False,
                proxy_headers=False,
                server_header=False,
                backlog=BACKLOG,
                timeout_graceful_shutdown=GRACE_SECONDS,
                h11_max_incomplete_event_size=HEADER_BYTES,
            )
        )

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop at a signal, without raising it again in the end as uvicorn does."""
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


@contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    """Yield a listening socket; raises `UserError` where the address cannot be had. 0 is any free port."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise UserError(f"{host} is no address of this machine: choose another --host") from error
    with listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(address)
            listener.listen(BACKLOG)
        except OSError as error:
            reason = error.strerror or str(error)
            raise UserError(
                f"port {port} of {host} cannot be used ({reason[:1].lower()}{reason[1:]}), perhaps because another "
                "server runs there: end that, or choose another --port"
            ) from error
        yield listener


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    local = "127.0.0.1" if ipaddress.ip_address(host).is_unspecified else host
    return f"http://[{local}]:{port}" if ":" in local else f"http://{local}:{port}"


def _announce(settings: Settings, listener: socket.socket, names: Sequence[str], key: str | None) -> None:
    address = _address(listener)
    guarded = f" with the key in {KEY_VARIABLE}" if key else ""
    if not key and not ipaddress.ip_address(listener.getsockname()[0]).is_loopback:
        note(f"Anybody who reaches {settings.host} can use this server: set {KEY_VARIABLE} to ask for a key")
    note(f"Serving {' and '.join(names)} at {address}/v1{guarded}; Ctrl-C ends it")
    if settings.with_page:
        note(f"Talk to {'them' if len(names) > 1 else 'it'} at {address}/")
        if settings.opens_browser:
            # In a thread: without a display it may be a browser for the terminal, which returns when it is left.
            threading.Thread(target=webbrowser.open, args=[f"{address}/"], daemon=True).start()
