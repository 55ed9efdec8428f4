"""Addresses of services as one may show them."""

from urllib.parse import parse_qs, unquote, urlsplit

SECRETS = {"password", "sslpassword"}


def without_password(url: str) -> tuple[str, str | None]:
    """``url`` as it may stand in a message or a list of processes, and the password it held: the
    user's, or else that of ``?password=``, which asyncpg and libpq take too. ``?sslpassword=`` is
    left out as well: there is no other way to tell it to libpq but a file.
    """
    parts = urlsplit(url)
    asked = parse_qs(parts.query).get("password", [None])[-1]
    if parts.password:
        user, _, host = parts.netloc.rpartition("@")
        url = url.replace(parts.netloc, f"{user.partition(':')[0]}@{host}", 1)
    address, _, query = url.partition("?")
    shown = "&".join(part for part in query.split("&") if not SECRETS & parse_qs(part).keys())
    return f"{address}?{shown}" if shown else address, unquote(parts.password or "") or asked
