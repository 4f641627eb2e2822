"""Who may talk to the server: checked before any endpoint sees a request.

A page of another site cannot read or post through a visitor's browser: the host has to be an address or a name that
this server goes by (DNS rebinding needs another), and an origin, which browsers send along, has to be this server's.
"""

import hmac
import ipaddress
from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from reprotune.chat.requests import ApiError
from reprotune.errors import UserError
from reprotune.files import size_words

KEY_VARIABLE = "REPROTUNE_API_KEY"
LOCAL = "localhost"
HEADER_BYTES = 32 << 10
"""Most bytes of a request's headers."""
OPEN = ("/", "/chat.css", "/chat.js", "/health")
"""Paths that need no key: they tell nothing of a model."""
HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
}


class Guard:
    """Middleware that lets through what is meant for this server, with the key where one is set."""

    def __init__(self, app: ASGIApp, names: Collection[str], key: str | None) -> None:
        """`names` are the host names, beside addresses, by which the server may be called."""
        self._app = app
        self._names = {LOCAL, *(name.lower() for name in names)}
        self._key = key

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        headers = Headers(scope=scope)
        fault = self._fault(scope["path"], headers)
        if sum(len(name) + len(value) for name, value in headers.raw) > HEADER_BYTES:
            fault = ApiError(431, f"the headers have more than {size_words(HEADER_BYTES)}: send less")
        if fault is None:
            await self._app(scope, receive, send_guarded)
            return
        fault.headers |= {"connection": "close"}  # the body is not read
        await JSONResponse(fault.body, fault.status, fault.headers)(scope, receive, send_guarded)

    def _fault(self, path: str, headers: Headers) -> ApiError | None:
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not self._is_own(hosts[0]):
            return ApiError(
                403, "the server does not go by this name: call it by its address, or start it with --allow-host NAME"
            )
        for origin in headers.getlist("origin"):
            if urlsplit(origin).netloc.lower() != hosts[0].lower():
                return ApiError(403, "pages of other sites may not use this server: open its own page")
        if self._key is not None and path not in OPEN and not self._knows_key(headers.getlist("authorization")):
            return ApiError(
                401, "send the server's key, as in `Authorization: Bearer KEY`", "invalid_api_key", headers=_CHALLENGE
            )
        return None

    def _is_own(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
            ipaddress.ip_address(name)
        except ValueError:
            return host.rpartition(":")[0].lower() in self._names or host.lower() in self._names
        return True

    def _knows_key(self, given: list[str]) -> bool:
        wanted = f"Bearer {self._key}".encode()
        return len(given) == 1 and hmac.compare_digest(given[0].encode("utf-8", "surrogateescape"), wanted)


_CHALLENGE = {"www-authenticate": "Bearer"}


def checked_key(value: str | None) -> str | None:
    """Return the key that a variable holds; raises `UserError` where no client could send it."""
    if value is None or not value.strip():
        return None
    key = value.strip()
    if not (key.isascii() and key.isprintable()):
        raise UserError(f"{KEY_VARIABLE} contains characters that no header can hold: choose another key")
    return key
