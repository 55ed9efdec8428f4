"""Lists that go on: the envelope and the cursor."""

import base64
import binascii
import uuid
from datetime import datetime
from typing import Annotated, Generic, TypeVar

import msgspec
from litestar.params import QueryParameter

from plugins.errors import InvalidInputError

T = TypeVar("T")

Limit = Annotated[int, QueryParameter(ge=1, le=200, description="at most so many items")]
Cursor = Annotated[
    str | None, QueryParameter(description="next_cursor of the page before", max_length=400)
]


class Page(msgspec.Struct, Generic[T], frozen=True):
    """One page of a list. ``total`` is null where counting would cost too much."""

    items: list[T]
    total: int | None
    next_cursor: str | None
    has_next: bool


def encode_cursor(*key: str) -> str:
    """The sort key of the last item, opaque to clients."""
    return base64.urlsafe_b64encode(msgspec.json.encode(key)).decode()


def decode_cursor(cursor: str, parts: int) -> list[str]:
    """Inverse of encode_cursor; anything else raises InvalidInputError."""
    try:
        key = msgspec.json.decode(base64.urlsafe_b64decode(cursor), type=list[str])
    except (binascii.Error, ValueError, msgspec.DecodeError) as error:
        raise InvalidInputError(_bad_cursor(cursor)) from error
    if len(key) != parts:
        raise InvalidInputError(_bad_cursor(cursor))
    return key


def decode_moment(cursor: str | None) -> tuple[datetime | None, uuid.UUID | None]:
    """The time and the id that a list by age goes on after; InvalidInputError as decode_cursor."""
    if cursor is None:
        return None, None
    time, key = decode_cursor(cursor, 2)
    try:
        return datetime.fromisoformat(time), uuid.UUID(key)
    except ValueError as error:
        raise InvalidInputError(_bad_cursor(cursor)) from error


def _bad_cursor(cursor: str) -> str:
    return f"cursor {cursor!r} is not one of ours: leave it out to start at the first page"
