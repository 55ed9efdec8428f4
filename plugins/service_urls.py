"""Addresses of services as one may show them."""

from urllib.parse import unquote, urlsplit, urlunsplit


def without_password(url: str) -> tuple[str, str | None]:
    """``url`` as it may stand in a message or a list of processes, and the password it held."""
    parts = urlsplit(url)
    if not parts.password:
        return url, None
    user, _, host = parts.netloc.rpartition("@")
    netloc = f"{user.partition(':')[0]}@{host}"
    return urlunsplit(parts._replace(netloc=netloc)), unquote(parts.password)
