"""Access tokens (RFC 7519, HMAC-SHA-256) and refresh tokens (random, kept as hashes)."""

import hashlib
import secrets
import time
import uuid
from functools import lru_cache

import msgspec
from jose import jwt
from jose.exceptions import ExpiredSignatureError, JOSEError

from control_plane.errors import NotAuthenticatedError

ALGORITHM = "HS256"
ISSUER = "spoton"
AUDIENCE = "spoton-api"
MAX_CHARACTERS = 2048
REMEMBERED = 4096
EXPIRED = "the access token has expired: get another with POST /api/v1/auth/refresh"
REQUIRED = {f"require_{claim}": True for claim in ("aud", "iss", "exp", "iat", "jti", "sub")}


class Claims(msgspec.Struct, frozen=True):
    """What an access token says. ``sid`` is the login it belongs to; ``exp`` is in Unix seconds.

    Roles are not in it: they are read where they are kept, so that a change holds at once.
    """

    sub: str
    sid: uuid.UUID
    jti: str
    exp: int


def new_access_token(key: str, user_id: str, session_id: str, lifetime_s: int) -> str:
    """A signed token that begins now."""
    now_s = int(time.time())
    claims = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": user_id,
        "sid": session_id,
        "jti": uuid.uuid4().hex,
        "iat": now_s,
        "exp": now_s + lifetime_s,
    }
    return str(jwt.encode(claims, key, algorithm=ALGORITHM))


def read_access_token(key: str, token: str) -> Claims:
    """The claims of a token of ours that has not expired; NotAuthenticatedError for any other."""
    if len(token) > MAX_CHARACTERS:
        raise NotAuthenticatedError("the access token is none of ours: log in again")
    try:
        found = _verified(key, token)
    except ExpiredSignatureError as error:
        raise NotAuthenticatedError(EXPIRED) from error
    except (JOSEError, msgspec.ValidationError, ValueError, TypeError, RecursionError) as error:
        raise NotAuthenticatedError(
            "the access token is not valid: log in again with POST /api/v1/auth/login"
        ) from error
    if found.exp <= time.time():  # the library grants the rest of the second
        raise NotAuthenticatedError(EXPIRED)
    return found


@lru_cache(REMEMBERED)
def _verified(key: str, token: str) -> Claims:
    """A valid signature stays valid, so that each token is verified once; only time voids it."""
    claims = jwt.decode(
        token, key, algorithms=[ALGORITHM], audience=AUDIENCE, issuer=ISSUER, options=REQUIRED
    )
    return msgspec.convert(claims, Claims)


def new_refresh_token() -> str:
    """256 random bits, URL-safe."""
    return secrets.token_urlsafe(32)


def hash_of(refresh_token: str) -> bytes:
    """What is kept of a refresh token; it is random, so that a plain SHA-256 is enough."""
    return hashlib.sha256(refresh_token.encode("utf-8", "surrogatepass")).digest()
