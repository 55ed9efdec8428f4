"""Media time: nanoseconds since 1970 UTC inside, RFC 3339 outside."""

from datetime import UTC, datetime, timedelta

from plugins.errors import InvalidTimeRangeError
from plugins.frames import NS_PER_S

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def to_rfc3339(time_ns: int) -> str:
    """Microsecond precision, ``Z`` at the end."""
    return to_datetime(time_ns).isoformat(timespec="microseconds").replace("+00:00", "Z")


def to_datetime(time_ns: int) -> datetime:
    """Aware UTC datetime, truncated to microseconds."""
    return _EPOCH + timedelta(microseconds=time_ns // 1000)


def from_datetime(time: datetime) -> int:
    """Inverse of to_datetime; a naive time raises InvalidTimeRangeError."""
    if time.tzinfo is None:
        raise InvalidTimeRangeError(f"{time.isoformat()} has no time zone: add Z or an offset")
    since = time - _EPOCH
    return (since.days * 86_400 + since.seconds) * NS_PER_S + since.microseconds * 1000


def parse_rfc3339(text: str) -> int:
    """Nanoseconds of an RFC 3339 time; anything else raises InvalidTimeRangeError."""
    try:
        return from_datetime(datetime.fromisoformat(text))
    except ValueError as error:
        raise InvalidTimeRangeError(
            f"{text!r} is not a time such as 2024-05-01T09:30:00Z"
        ) from error
