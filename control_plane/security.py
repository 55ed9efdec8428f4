"""What holds for every request and answer: bodies that can be read, headers that protect."""

from typing import Any

from litestar import Request
from litestar.datastructures import MutableScopeHeaders
from litestar.exceptions import ClientException
from litestar.types import Message, Scope

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
}
# Answers of the API are data, never pages: a browser that shows one runs nothing in it.
API_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; sandbox",
    "Cache-Control": "no-store",
}
API = "/api/"
TRANSPORT = "max-age=31536000"


class ReadableRequest(Request[Any, Any, Any]):
    """A request whose JSON is refused, not broken on, where Python cannot hold it."""

    async def json(self) -> Any:
        """The body; ClientException (400) unless it is JSON in UTF-8 of sane depth."""
        try:
            return await super().json()
        except (UnicodeDecodeError, RecursionError) as error:
            raise ClientException("the body is not UTF-8, or nested too deeply") from error


async def add_security_headers(message: Message, scope: Scope) -> None:
    """Adds what the handler has not set; HSTS only where the request came over TLS."""
    if message["type"] != "http.response.start":
        return
    headers = MutableScopeHeaders.from_message(message)
    wanted = HEADERS | API_HEADERS if scope["path"].startswith(API) else HEADERS
    for name, value in wanted.items():
        headers.setdefault(name, value)
    if scope.get("scheme") == "https":
        headers.setdefault("Strict-Transport-Security", TRANSPORT)
