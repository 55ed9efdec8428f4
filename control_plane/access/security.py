"""What holds for every request and answer: bodies that can be read, headers that protect."""

from collections.abc import Sequence
from typing import Any

from litestar import Request
from litestar.exceptions import ClientException
from litestar.types import Scope

Header = tuple[bytes, bytes]
HEADERS: tuple[Header, ...] = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
)
# Answers of the API are data, never pages: a browser that shows one runs nothing in it.
API_HEADERS: tuple[Header, ...] = (
    *HEADERS,
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'; sandbox"),
    (b"cache-control", b"no-store"),
)
API = "/api/"
TRANSPORT = (b"strict-transport-security", b"max-age=31536000")


class ReadableRequest(Request[Any, Any, Any]):
    """A request whose JSON is refused, not broken on, where Python cannot hold it."""

    async def json(self) -> Any:
        """The body; ClientException (400) unless it is JSON in UTF-8 of sane depth."""
        try:
            return await super().json()
        except (UnicodeDecodeError, RecursionError) as error:
            raise ClientException("the body is not UTF-8, or nested too deeply") from error


def protecting_headers(scope: Scope, given: Sequence[Header]) -> list[Header]:
    """Those that an answer does not have yet; HSTS only where the request came over TLS."""
    wanted = API_HEADERS if scope["path"].startswith(API) else HEADERS
    if scope.get("scheme") == "https":
        wanted = (*wanted, TRANSPORT)
    names = {name for name, _ in given}
    return [header for header in wanted if header[0] not in names]
